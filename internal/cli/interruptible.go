package cli

import "context"

// interruptible runs what may wait for ever in a read, or for somebody to write to a pipe: it ends with the context. Then the function may go on, until the process ends.
func interruptible[T any](ctx context.Context, run func() (T, error)) (T, error) {
	type outcome struct {
		v   T
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		v, err := run()
		done <- outcome{v, err}
	}()
	select {
	case o := <-done:
		return o.v, o.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
