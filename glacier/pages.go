package glacier

import (
	"fmt"
	"iter"
)

// pages returns the items of all pages of a list. A marker that comes twice would never end, and is an error.
func pages[T any](next func(Page) (items []T, marker string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		seen := map[string]bool{"": true}
		for marker := ""; ; {
			items, after, err := next(Page{Marker: marker})
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if after == "" {
				return
			}
			if seen[after] {
				var zero T
				yield(zero, fmt.Errorf("the list does not end: the server has given the marker %q twice", after))
				return
			}
			seen[after], marker = true, after
		}
	}
}
