package api

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// TestHandlerTable holds the handlers against the table of operations.
func TestHandlerTable(t *testing.T) {
	var names []string
	seen := map[string]string{}
	for _, op := range protocol.Operations() {
		names = append(names, op.Name)
		at := op.Method + " " + op.Path + "?" + op.Query
		if before, taken := seen[at]; taken {
			t.Errorf("%s and %s are both at %s", before, op.Name, at)
		}
		seen[at] = op.Name
		if !strings.HasPrefix(op.Path, "/{accountId}/") {
			t.Errorf("%s: the path %s does not begin with the account", op.Name, op.Path)
		}
	}
	slices.Sort(names)
	if got := slices.Sorted(maps.Keys(handlers())); !slices.Equal(got, names) {
		t.Errorf("there are handlers for\n%q, operations are\n%q", got, names)
	}
	for name, h := range handlers() {
		if h == nil {
			t.Errorf("%s has no handler", name)
		}
	}
}

// kinds returns the names of the kinds of package fault, in their order, from its source: Go cannot list constants.
func kinds(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../fault/fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range file.Decls {
		block, ok := d.(*ast.GenDecl)
		if !ok || block.Tok != token.CONST {
			continue
		}
		first, _ := block.Specs[0].(*ast.ValueSpec)
		if kind, ok := first.Type.(*ast.Ident); !ok || kind.Name != "Kind" {
			continue
		}
		for _, spec := range block.Specs {
			names = append(names, spec.(*ast.ValueSpec).Names[0].Name)
		}
	}
	if len(names) < 2 || names[0] != "Internal" {
		t.Fatalf("package fault has the kinds %q; they should begin with Internal", names)
	}
	return names
}

// TestErrorTable holds that every kind of fault has a row, and that its status and code are those of the guide.
func TestErrorTable(t *testing.T) {
	names := kinds(t)
	for kind, name := range names {
		if _, ok := errorTable[fault.Kind(kind)]; !ok {
			t.Errorf("fault.%s has no row", name)
		}
	}
	if len(errorTable) != len(names) {
		t.Errorf("%d rows for %d kinds", len(errorTable), len(names))
	}
	statuses := map[string][]int{ // the codes of the behaviour specification
		"AccessDeniedException":               {403},
		"BadRequest":                          {400},
		"ExpiredTokenException":               {403},
		"IncompleteSignatureException":        {400},
		"InsufficientCapacityException":       {503},
		"InvalidParameterValueException":      {400},
		"InvalidSignatureException":           {403},
		"LimitExceededException":              {400},
		"MissingAuthenticationTokenException": {400},
		"MissingParameterValueException":      {400},
		"PolicyEnforcedException":             {400},
		"RequestTimeoutException":             {408},
		"ResourceNotFoundException":           {404},
		"SerializationException":              {400},
		"ServiceUnavailableException":         {500},
		"ThrottlingException":                 {400},
		"UnknownOperationException":           {404, 405},
		"UnrecognizedClientException":         {400},
	}
	for kind, r := range errorTable {
		if !slices.Contains(statuses[r.code], r.status) {
			t.Errorf("fault.%s: %d %s; the specification has %v", names[kind], r.status, r.code, statuses[r.code])
		}
	}
	for code, all := range statuses {
		for _, status := range all {
			if !slices.Contains(slices.Collect(maps.Values(errorTable)), row{status, code}) {
				t.Errorf("no fault is shown as %d %s", status, code)
			}
		}
	}
}

// TestDescribe holds that the inside never shows, and that the outermost fault decides.
func TestDescribe(t *testing.T) {
	secret := errors.New("disk /dev/sda1 is full")
	for _, row := range []struct {
		name    string
		err     error
		status  int
		code    string
		message string
		kind    string
	}{
		{"plain error", secret, 500, "ServiceUnavailableException", internalMessage, "Server"},
		{"internal", fault.Wrap(fault.Internal, secret, "cannot write"), 500, "ServiceUnavailableException", internalMessage, "Server"},
		{"corrupt", fault.Wrap(fault.Corrupt, secret, "leaf 3 of x"), 500, "ServiceUnavailableException", internalMessage, "Server"},
		{"cause", fault.Wrap(fault.TimedOut, secret, "Request timed out."), 408, "RequestTimeoutException", "Request timed out.", "Client"},
		{"wrapped", fmt.Errorf("put: %w", fault.New(fault.NotFound, "Vault not found")), 404, "ResourceNotFoundException", "Vault not found", "Client"},
		{"outermost", fault.Wrap(fault.Invalid, fault.New(fault.NotFound, "inner"), "outer"), 400, "InvalidParameterValueException", "outer", "Client"},
		{"joined", errors.Join(secret, fault.New(fault.Denied, "no")), 403, "AccessDeniedException", "no", "Client"},
		{"capacity", fault.New(fault.InsufficientCapacity, "none left"), 503, "InsufficientCapacityException", "none left", "Server"},
		{"empty message", fault.New(fault.Invalid, ""), 400, "InvalidParameterValueException", internalMessage, "Client"},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, doc := describe(row.err)
			if want := (errorDocument{row.code, row.message, row.kind}); status != row.status || doc != want {
				t.Errorf("%d %+v, want %d %+v", status, doc, row.status, want)
			}
		})
	}
}

// TestRequestIDs holds that ids of requests have their form and do not repeat.
func TestRequestIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 10_000 {
		id := newRequestID()
		if len(id) != protocol.RequestIDLength || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" || seen[id] {
			t.Fatalf("request id %q, seen before: %t", id, seen[id])
		}
		seen[id] = true
	}
}
