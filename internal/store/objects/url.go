package objects

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// tiers are those of ours, in the order in which people know them.
var tiers = []string{"Expedited", "Standard", "Bulk"} // read only

// parameters of a URL, each with what it sets.
var parameters = map[string]func(*Options, string) error{ // read only
	"endpoint": func(o *Options, v string) error {
		u, err := url.Parse(v)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return errors.New("it must be the URL of a server, such as https://s3.example.com")
		}
		o.Endpoint = v
		return nil
	},
	"region":        func(o *Options, v string) error { o.Region = v; return nil },
	"path-style":    func(o *Options, v string) (err error) { o.PathStyle, err = parseBool(v); return err },
	"class":         func(o *Options, v string) error { o.Class = v; return nil },
	"restore-days":  func(o *Options, v string) (err error) { o.RestoreDays, err = parseDays(v); return err },
	"restore-tiers": func(o *Options, v string) (err error) { o.RestoreTiers, err = parseTiers(v); return err },
	"needs-restore": func(o *Options, v string) error {
		needs, err := parseBool(v)
		o.NeedsRestore = &needs
		return err
	},
}

// ParseURL reads where a store is and how it is used:
//
//	s3://BUCKET/PREFIX?endpoint=https://s3.example.com&region=eu-central-1&path-style=true
//	    &class=DEEP_ARCHIVE&restore-days=2&restore-tiers=Expedited:Standard&needs-restore=true
//
// Everything behind the bucket may be left out. What is not said is as in Defaults. With an endpoint, the bucket is named in the path.
// The errors never have what could be a secret.
func ParseURL(text string) (Options, error) {
	o := Defaults()
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.Fragment != "" || u.Opaque != "" {
		return o, errors.New("a store in a bucket is named s3://BUCKET/PREFIX?PARAMETERS")
	}
	errCredentials := errors.New("credentials do not belong in the URL of a bucket: they are taken from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or the files of the AWS tools")
	if u.User != nil {
		return o, errCredentials
	}
	o.Bucket, o.Prefix = u.Host, strings.Trim(u.Path, "/")
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return o, fmt.Errorf("the parameters of s3://%s cannot be read: %w", u.Host, err)
	}
	if strings.Contains(query.Get("endpoint"), "@") {
		return o, errCredentials
	}
	o.PathStyle = query.Has("endpoint")
	for key, values := range query {
		set, known := parameters[key]
		switch {
		case !known:
			return o, fmt.Errorf("s3://%s: there is no parameter %q; there are %s", u.Host, key, strings.Join(parameterNames(), ", "))
		case len(values) != 1 || values[0] == "":
			return o, fmt.Errorf("s3://%s: %s needs exactly one value", u.Host, key)
		}
		if err := set(&o, values[0]); err != nil {
			return o, fmt.Errorf("s3://%s: %s %q: %w", u.Host, key, values[0], err)
		}
	}
	return o, nil
}

func parameterNames() (names []string) {
	for key := range parameters {
		names = append(names, key)
	}
	slices.Sort(names)
	return names
}

func parseBool(text string) (bool, error) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errors.New("it must be true or false")
}

func parseDays(text string) (int, error) {
	days, err := strconv.Atoi(text)
	if err != nil || days < 1 || days > 3650 {
		return 0, errors.New("it must be a number of days from 1 to 3650")
	}
	return days, nil
}

// parseTiers reads by which tiers of the server ours are served: "Expedited:Standard,Standard:Bulk".
func parseTiers(text string) (map[string]string, error) {
	all := make(map[string]string)
	for pair := range strings.SplitSeq(text, ",") {
		ours, theirs, ok := strings.Cut(pair, ":")
		if !ok || !slices.Contains(tiers, ours) || theirs == "" || all[ours] != "" {
			return nil, fmt.Errorf("%q is not one of %s, once, with a tier of the server: Expedited:Standard", pair, strings.Join(tiers, ", "))
		}
		all[ours] = theirs
	}
	return all, nil
}
