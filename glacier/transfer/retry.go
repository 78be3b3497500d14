package transfer

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/moraine-archive/moraine/glacier"
)

// transient reports whether a failure may be gone the next time: all but what the service refuses for good, or what cannot be asked. A signature or a hash that does not match is what
// damage on the way looks like.
func transient(err error) bool {
	if isLocal(err) {
		return false
	}
	answer, ok := errors.AsType[*glacier.APIError](err)
	if !ok { // there may be nothing to sign with, or a server that cannot be trusted
		return !errors.Is(err, glacier.ErrAuthentication) && !errors.As(err, new(*tls.CertificateVerificationError))
	}
	switch {
	case answer.Status == http.StatusRequestTimeout, answer.Status == http.StatusTooManyRequests, answer.Is(glacier.ErrThrottled):
		return true
	case answer.Status >= 500:
		return !answer.Is(glacier.ErrInsufficientCapacity)
	}
	return refusedBytes(answer)
}

// refusedBytes reports whether the service has refused bytes that are not what their hashes say.
func refusedBytes(answer *glacier.APIError) bool {
	return answer.Code == "InvalidSignatureException" || answer.Is(glacier.ErrInvalidParameter) && strings.HasPrefix(answer.Message, "Checksum mismatch")
}

// localError is a failure on this side, of a file or a stream: to try again does not help.
type localError struct{ error }

func (e localError) Unwrap() error { return e.error }

func isLocal(err error) bool {
	_, is := errors.AsType[localError](err)
	return is
}

// tries counts the attempts at one thing, and waits between them.
type tries struct {
	left int
	wait *backoff.ExponentialBackOff
}

func newTries(attempts int, first time.Duration) *tries {
	return &tries{attempts - 1, pauses(first, 20*time.Second)}
}

// again waits, and reports whether it is worth another attempt.
func (t *tries) again(ctx context.Context, err error) bool {
	if t.left <= 0 || ctx.Err() != nil || !transient(err) {
		return false
	}
	t.left--
	return sleep(ctx, t.wait.NextBackOff()) == nil
}

// pauses are pauses that grow, with jitter.
func pauses(first, last time.Duration) *backoff.ExponentialBackOff {
	b := &backoff.ExponentialBackOff{InitialInterval: first, RandomizationFactor: 0.3, Multiplier: 1.7, MaxInterval: last}
	b.Reset()
	return b
}

// sleep waits for a time.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// watchdog ends a request that has come to a standstill.
type watchdog struct {
	stop  context.CancelCauseFunc
	timer *time.Timer // nil: it may stand still for ever
	after time.Duration
}

// watch returns a context that ends with ErrStalled when nothing has moved for a time. The caller ends the watchdog.
func watch(ctx context.Context, after time.Duration) (context.Context, *watchdog) {
	ctx, stop := context.WithCancelCause(ctx)
	w := &watchdog{stop: stop, after: after}
	if after > 0 {
		w.timer = time.AfterFunc(after, func() { stop(ErrStalled) })
	}
	return ctx, w
}

// once makes a request that is given up when it stands still.
func once[T any](ctx context.Context, after time.Duration, request func(context.Context, *watchdog) (T, error)) (T, error) {
	ctx, dog := watch(ctx, after)
	defer dog.end()
	v, err := request(ctx, dog)
	if err != nil {
		err = stalled(ctx, err)
	}
	return v, err
}

// steadily makes a request that can be repeated, and repeats it when it has stood still. After other failures the client itself has sent it again.
func steadily[T any](ctx context.Context, again *tries, after time.Duration, request func(context.Context, *watchdog) (T, error)) (T, error) {
	for {
		v, err := once(ctx, after, request)
		if !errors.Is(err, ErrStalled) || !again.again(ctx, err) {
			return v, err
		}
	}
}

func (w *watchdog) moved() {
	if w.timer != nil {
		w.timer.Reset(w.after)
	}
}

func (w *watchdog) end() {
	if w.timer != nil {
		w.timer.Stop()
	}
	w.stop(context.Canceled)
}
