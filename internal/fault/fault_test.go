package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/moraine-archive/moraine/internal/fault"
)

func TestKind(t *testing.T) {
	missing := fault.New(fault.NotFound, "there is no %s", "vault")
	for name, test := range map[string]struct {
		err  error
		want fault.Kind
	}{
		"no error":                     {nil, fault.Internal},
		"an error nobody classified":   {io.EOF, fault.Internal},
		"a fault":                      {missing, fault.NotFound},
		"a fault with a cause":         {fault.Wrap(fault.Corrupt, io.EOF, "leaf 7"), fault.Corrupt},
		"a fault that is wrapped":      {fmt.Errorf("look up: %w", missing), fault.NotFound},
		"a fault that is joined":       {errors.Join(io.EOF, missing), fault.NotFound},
		"a fault of a fault":           {fault.Wrap(fault.Invalid, missing, "no"), fault.Invalid},
		"what hides a fault by intent": {fmt.Errorf("look up: %v", missing), fault.Internal},
	} {
		if got := fault.KindOf(test.err); got != test.want {
			t.Errorf("%s is of kind %d, want %d", name, got, test.want)
		}
		for kind := fault.Internal; kind <= fault.Corrupt; kind++ {
			if got, want := fault.Is(test.err, kind), test.err != nil && kind == test.want; got != want {
				t.Errorf("%s: Is(%d) = %t", name, kind, got)
			}
		}
	}
}

func TestError(t *testing.T) {
	err := fault.Wrap(fault.Corrupt, io.ErrUnexpectedEOF, "leaf %d of %q", 7, "x")
	if got, want := err.Error(), `leaf 7 of "x": unexpected EOF`; got != want {
		t.Errorf("with a cause the error is %q, want %q", got, want)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("the cause cannot be found")
	}
	var f *fault.Error
	if !errors.As(err, &f) || f.Message != `leaf 7 of "x"` { // which is shown, and says nothing of the cause
		t.Errorf("the message is %q", f.Message)
	}
	if got, want := fault.New(fault.Invalid, "100%% of %d", 5).Error(), "100% of 5"; got != want {
		t.Errorf("without a cause the error is %q, want %q", got, want)
	}
}
