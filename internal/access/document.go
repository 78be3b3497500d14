package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// node is a value of a JSON document and where it is, so that what is wrong can be found. Value is a string, a json.Number, a bool, nil, a []node or
// an object.
type node struct {
	place string // like Statement[0].Condition.Bool; "" is the document
	value any
}

// object has the members of a JSON object in their order.
type object []member

type member struct {
	name string
	node
}

// wrong returns an error with the place.
func (n node) wrong(format string, args ...any) error {
	place := n.place
	if place == "" {
		place = "the document"
	}
	return fmt.Errorf("%s: %s", place, fmt.Sprintf(format, args...))
}

// below is the place of a member.
func (n node) below(name string) string { return strings.TrimPrefix(n.place+"."+name, ".") }

// parseJSON reads a document. A name that an object has twice is an error: readers differ in which of the two they see.
func parseJSON(text string) (node, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	n, err := readNode(dec, "", maxDepth)
	if err != nil {
		return n, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return n, n.wrong("there is more after the end of the JSON object")
	}
	return n, nil
}

// maxDepth is how many objects and lists may be in each other. Policies need no more than 7; the place of what is deep is long.
const maxDepth = 20

func readNode(dec *json.Decoder, place string, depth int) (node, error) {
	n := node{place: place}
	if depth == 0 {
		return n, n.wrong("it is nested too deep")
	}
	token, err := dec.Token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return n, n.wrong("it is not JSON: %v", err)
	}
	switch token {
	case json.Delim('{'):
		n.value, err = readObject(dec, n, depth-1)
	case json.Delim('['):
		n.value, err = readList(dec, n, depth-1)
	default:
		n.value = token
	}
	return n, err
}

func readObject(dec *json.Decoder, n node, depth int) (object, error) {
	o := object{}
	for dec.More() {
		token, err := dec.Token()
		name, isName := token.(string)
		if err != nil || !isName {
			return nil, n.wrong("it is not JSON: a name is missing: %v", err)
		}
		if _, twice := o.get(name); twice {
			return nil, n.wrong("it has %q twice", name)
		}
		child, err := readNode(dec, n.below(name), depth)
		if err != nil {
			return nil, err
		}
		o = append(o, member{name, child})
	}
	return o, end(dec, n)
}

func readList(dec *json.Decoder, n node, depth int) ([]node, error) {
	list := []node{}
	for dec.More() {
		child, err := readNode(dec, n.place+"["+strconv.Itoa(len(list))+"]", depth)
		if err != nil {
			return nil, err
		}
		list = append(list, child)
	}
	return list, end(dec, n)
}

// end reads the brace or bracket that ends a value.
func end(dec *json.Decoder, n node) error {
	if _, err := dec.Token(); err != nil {
		return n.wrong("it is not JSON: %v", err)
	}
	return nil
}

// get returns a member; ok is false if there is none.
func (o object) get(name string) (n node, ok bool) {
	i := slices.IndexFunc(o, func(m member) bool { return m.name == name })
	if i < 0 {
		return n, false
	}
	return o[i].node, true
}

// textOr returns a member that has to be a string, or another text if there is none.
func (o object) textOr(name, otherwise string) (string, error) {
	n, ok := o.get(name)
	if !ok {
		return otherwise, nil
	}
	return n.text()
}

// object returns the members of a value that has to be an object with at least one of them. Their names have to be among those known; without any, all are.
func (n node) object(known ...string) (object, error) {
	o, ok := n.value.(object)
	if !ok {
		return nil, n.wrong("it has to be an object")
	}
	if len(o) == 0 {
		return nil, n.wrong("it is empty")
	}
	for _, m := range o {
		if len(known) > 0 && !slices.Contains(known, m.name) {
			return nil, m.wrong("there is no such element here; there are %s", strings.Join(known, ", "))
		}
	}
	return o, nil
}

// text returns a value that has to be a string.
func (n node) text() (string, error) {
	s, ok := n.value.(string)
	if !ok {
		return "", n.wrong("it has to be a string")
	}
	return s, nil
}

// list returns the elements of a list, or a single value as a list of one.
func (n node) list() ([]node, error) {
	list, ok := n.value.([]node)
	if !ok {
		return []node{n}, nil
	}
	if len(list) == 0 {
		return nil, n.wrong("the list is empty")
	}
	return list, nil
}

// scalar returns a string, number or boolean as a text: policies may write 365 for "365" and true for "true".
func (n node) scalar() (string, error) {
	switch v := n.value.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	}
	return "", n.wrong("it has to be a string, a number, or true or false")
}
