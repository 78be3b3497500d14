package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/moraine-archive/moraine/glacier/transfer"
)

// stopped ends a command that was interrupted, or has failed, after something was done that is kept; the note says what, and how to go on.
func (s *session) stopped(ctx context.Context, err error, what, note string) error {
	if ctx.Err() == nil {
		return s.hinted(err, note)
	}
	s.say("%s", note)
	return fmt.Errorf("the %s was interrupted: %w", what, context.Canceled)
}

// hinted gives an error a hint, behind the one that it may have.
func (s *session) hinted(err error, hint string) error {
	coded := &exitError{code: exitFailed, err: err}
	errors.As(s.explain(err), &coded)
	coded.hint = strings.TrimPrefix(coded.hint+"\n"+hint, "\n")
	return coded
}

// partly makes a failure after something was done one that can be resumed.
func (s *session) partly(failed error, begun bool, again string) error {
	if errors.Is(failed, context.Canceled) {
		s.say("To go on, run again:\n  %s", again)
		return failed
	}
	if i, ok := errors.AsType[*transfer.InterruptedError](failed); ok && i.Done > 0 {
		begun = true
	}
	coded, ok := errors.AsType[*exitError](s.explain(failed))
	switch {
	case !begun, ok && coded.code == exitPartly:
		return failed
	case ok && coded.hint != "":
		again += "\n" + coded.hint
	}
	return &exitError{exitPartly, "To go on, run again:\n  " + again, failed}
}

// quoted is a text as a shell takes it.
func quoted(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// repeat is the command as it was given, with other arguments behind its flags.
func (s *session) repeat(args, with []string) string { return repeat(s.Args, args, with, s.flags) }

func repeat(line, args, with []string, flags *pflag.FlagSet) string {
	line = slices.Clone(line)
	for _, arg := range slices.Backward(args) {
		for i := range slices.Backward(line) {
			if line[i] == arg && (i == 0 || !takesValue(flags, line[i-1])) {
				line = slices.Delete(line, i, i+1)
				break
			}
		}
	}
	words := []string{"moraine"}
	for _, word := range append(line, with...) {
		words = append(words, quoted(word))
	}
	return strings.Join(words, " ")
}

// takesValue reports whether a word is a flag whose value is the next word.
func takesValue(flags *pflag.FlagSet, word string) bool {
	name, isFlag := strings.CutPrefix(word, "--")
	f := flags.Lookup(name)
	return isFlag && f != nil && f.NoOptDefVal == ""
}
