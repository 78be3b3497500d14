package api_test

import "fmt"

// contentRange returns the Content-Range of a part.
func contentRange(first, last int) string { return fmt.Sprintf("bytes %d-%d/*", first, last) }
