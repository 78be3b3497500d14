package objects

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// object is what a list of the bucket says of an object.
type object struct {
	name    name
	meta    *listed // nil: there is none
	data    *listed // likewise
	gone    goneSet
	touched time.Time // when the youngest thing of it was written
}

// objects lists the objects of the store by name, which is by age. What this process is writing is passed over, and so is what has no name of an object. The lists of data, metas and removals
// are read side by side, so that what is in memory does not grow with them.
func (s *Store) objects(ctx context.Context, fn func(object) error) error {
	lists := []*nameLister{
		{l: s.bucket.list(ctx, dataDir), dir: dataDir, add: func(o *object, e *listed, _ string) { o.data = e }},
		{l: s.bucket.list(ctx, metaDir), dir: metaDir, add: func(o *object, e *listed, _ string) { o.meta = e }},
		{l: s.bucket.list(ctx, goneDir), dir: goneDir, deep: true, add: func(o *object, _ *listed, rest string) {
			if records, ok := parseIndexes(rest, o.name.records()); ok {
				o.gone = o.gone.with(records...)
			}
		}},
	}
	for {
		first, err := firstName(lists)
		if err != nil || first == "" {
			return err
		}
		o := object{name: first}
		for _, l := range lists {
			if err := l.collect(&o); err != nil {
				return err
			}
		}
		if s.isWriting(first) {
			continue
		}
		if err := s.settle(ctx, &o); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(o); err != nil {
			return err
		}
	}
}

// settle looks again for the meta of an object that seems to have none: it may have come since that part of the list was read.
func (s *Store) settle(ctx context.Context, o *object) error {
	if o.meta != nil || o.data == nil {
		return nil
	}
	exists, err := s.bucket.exists(ctx, o.name.meta())
	if err == nil && exists {
		o.meta = &listed{key: o.name.meta(), modified: o.data.modified}
	}
	return err
}

// nameLister goes through one of the lists of a store, object by object.
type nameLister struct {
	l    *lister
	dir  string
	deep bool // what is listed lies below the name of an object
	add  func(o *object, e *listed, rest string)
}

// peek returns the name of the object that comes next, "" at the end, and what is behind it in the key.
func (l *nameLister) peek() (name, string, error) {
	for {
		e, err := l.l.peek()
		if err != nil || e == nil {
			return "", "", err
		}
		text, rest, deep := strings.Cut(strings.TrimPrefix(e.key, l.dir), "/")
		if n, ok := parseName(text); ok && deep == l.deep {
			return n, rest, nil
		}
		l.l.peeked = nil // somebody else's
	}
}

// collect adds to an object all that the list has of it.
func (l *nameLister) collect(o *object) error {
	for {
		n, rest, err := l.peek()
		if err != nil || n != o.name {
			return err
		}
		e, err := l.l.next()
		if err != nil {
			return fmt.Errorf("list object %s: %w", n, err)
		}
		l.add(o, e, rest)
		if e.modified.After(o.touched) {
			o.touched = e.modified
		}
	}
}

// firstName returns the least of the names that come next, "" if there are none.
func firstName(lists []*nameLister) (first name, err error) {
	for _, l := range lists {
		n, _, err := l.peek()
		if err != nil {
			return "", err
		}
		if first == "" || n != "" && n < first {
			first = n
		}
	}
	return first, nil
}
