package api

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/moraine-archive/moraine/internal/fault"
)

// object is a JSON object of a request. Names of members are case-sensitive (encoding/json does not see case in structs), unknown ones are
// ignored, null is absent, and of members of the same name the last counts.
type object map[string]json.RawMessage

func parseObject(b []byte) (object, error) {
	if !utf8.Valid(b) { // encoding/json would replace what is wrong
		return nil, fault.New(fault.Malformed, "The body is not a JSON object: it is not UTF-8")
	}
	var o object
	if err := json.Unmarshal(b, &o); err != nil {
		return nil, fault.New(fault.Malformed, "The body is not a JSON object: %v", err)
	}
	if o == nil { // null
		return nil, fault.New(fault.Malformed, "The body is not a JSON object but null")
	}
	return o, nil
}

// has reports whether a member is present.
func (o object) has(name string) bool {
	raw, ok := o[name]
	return ok && string(raw) != "null"
}

// decode reads a member into v, if it is present.
func (o object) decode(name string, v any, want string) error {
	if !o.has(name) {
		return nil
	}
	if err := json.Unmarshal(o[name], v); err != nil {
		return fault.New(fault.Malformed, "%s must be %s", name, want)
	}
	return nil
}

// text reads a member that is a string; nil if it is absent.
func (o object) text(name string) (s *string, err error) {
	return s, o.decode(name, &s, "a string")
}

// texts reads a member that is a list of strings; nil if it is absent.
func (o object) texts(name string) ([]string, error) {
	var list []*string
	if err := o.decode(name, &list, "a list of strings"); err != nil || list == nil {
		return nil, err
	}
	texts := make([]string, len(list))
	for i, s := range list {
		if s == nil {
			return nil, fault.New(fault.Malformed, "%s must be a list of strings, without null", name)
		}
		texts[i] = *s
	}
	return texts, nil
}

// number reads a member that is a string or a number as text; clients differ.
func (o object) number(name string) (*string, error) {
	if !o.has(name) {
		return nil, nil
	}
	if o[name][0] == '"' {
		return o.text(name)
	}
	var n json.Number
	if err := json.Unmarshal(o[name], &n); err != nil {
		return nil, fault.New(fault.Malformed, "%s must be a string or a number", name)
	}
	text := n.String()
	return &text, nil
}

// textMap reads a member that is an object of strings; nil if it is absent.
func (o object) textMap(name string) (map[string]string, error) {
	var m map[string]*string
	if err := o.decode(name, &m, "an object of strings"); err != nil || m == nil {
		return nil, err
	}
	texts := make(map[string]string, len(m))
	for key, value := range m {
		if value == nil {
			return nil, fault.New(fault.Malformed, "%s must be an object of strings, without null", name)
		}
		texts[key] = *value
	}
	return texts, nil
}

// objects reads a member that is a list of objects; nil if it is absent.
func (o object) objects(name string) ([]object, error) {
	var list []object
	if err := o.decode(name, &list, "a list of objects"); err != nil {
		return nil, err
	}
	for _, o := range list {
		if o == nil {
			return nil, fault.New(fault.Malformed, "%s must be a list of objects, without null", name)
		}
	}
	return list, nil
}

// integer reads a member that is a number without fraction, as text: it may be greater than any that there is. Nil if it is absent.
func (o object) integer(name string) (*string, error) {
	if !o.has(name) {
		return nil, nil
	}
	text := string(o[name])
	if digits := strings.TrimPrefix(text, "-"); strings.Trim(digits, "0123456789") != "" {
		return nil, fault.New(fault.Malformed, "%s must be a whole number", name)
	}
	return &text, nil
}

// object reads a member that is an object; nil if it is absent.
func (o object) object(name string) (child object, err error) {
	return child, o.decode(name, &child, "an object")
}

// only reports whether the object has this member and no other.
func (o object) only(name string) bool { return len(o) == 1 && o.has(name) }

// members reads several members that are strings.
func (o object) members(into map[string]**string) error {
	for name, p := range into {
		s, err := o.text(name)
		if err != nil {
			return err
		}
		*p = s
	}
	return nil
}
