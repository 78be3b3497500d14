package notify

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Any stands for every topic that has no row of its own.
const Any = "*"

// Schemes of targets.
const (
	schemeHTTP  = "http"
	schemeHTTPS = "https"
	schemeSNS   = "sns"
	schemeSQS   = "sqs"
)

// forms is what people are told when a row cannot be read.
const forms = "possible are TOPIC=https://HOST/PATH (or http), TOPIC=sns: and TOPIC=sqs:?queue=QUEUE-URL, where TOPIC is " +
	"the ARN of a topic, like arn:aws:sns:us-east-1:123456789012:restores, or *"

// Shapes. Both are read only.
var (
	topicARN   = regexp.MustCompile(`^arn:[a-z0-9-]+:sns:([a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$`)
	regionName = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
)

// IsTopic reports whether a text has the shape of the ARN of a topic.
func IsTopic(text string) bool { return topicARN.MatchString(text) }

// Target is one row of the list: where the messages to a topic go. ParseTargets makes it.
type Target struct {
	Topic string // ARN, or Any

	scheme string
	url    *url.URL // of a webhook; otherwise nil
	place  place    // of a topic or a queue
}

// place says where a service is, and who calls it. What is empty is found out otherwise.
type place struct {
	queue, endpoint, region, profile string
}

// String returns the row as it may be shown: without user, password and query of a webhook.
func (t Target) String() string { return t.Topic + "=" + t.where() }

func (t Target) where() string {
	if t.url != nil {
		return shown(t.url)
	}
	var query []string
	for _, p := range t.place.parameters() {
		if *p.value != "" {
			query = append(query, p.name+"="+*p.value)
		}
	}
	if len(query) == 0 {
		return t.scheme + ":"
	}
	return t.scheme + ":?" + strings.Join(query, "&")
}

// ParseTargets reads rows of the form TOPIC=URL. A topic may have one row. Every error names the row and says what is possible; none repeats a
// password or the query of a webhook.
func ParseTargets(rows []string) ([]Target, error) {
	var targets []Target
	for i, row := range rows {
		topic, address, ok := strings.Cut(strings.TrimSpace(row), "=")
		if !ok || topic != Any && !IsTopic(topic) {
			return nil, fmt.Errorf("target %d, %q, does not begin with a topic and an equals sign: %s", i+1, beginning(row), forms)
		}
		if slices.ContainsFunc(targets, func(t Target) bool { return t.Topic == topic }) {
			return nil, secondRow(topic)
		}
		t, err := parseTarget(topic, address)
		if err != nil {
			return nil, fmt.Errorf("target %d, that of %s, cannot be used: %w", i+1, topic, err)
		}
		targets = append(targets, t)
	}
	return targets, nil
}

// beginning returns what may be shown of a row that has no topic: it may be a URL with a password.
func beginning(row string) string {
	if before, _, found := strings.Cut(row, "//"); found {
		return before + "//..."
	}
	return row
}

func secondRow(topic string) error {
	return fmt.Errorf("the topic %s has two targets: it may have one; let the target pass the message on", topic)
}

func parseTarget(topic, address string) (Target, error) {
	u, err := url.Parse(address)
	if err != nil { // whose text may hold a password, or a part of one
		return Target{}, errors.New("it is no URL: what is not a letter or a digit in a user's name, a password or a query has to be written as %XX")
	}
	t := Target{Topic: topic, scheme: u.Scheme}
	switch u.Scheme {
	case schemeHTTP, schemeHTTPS:
		t.url, err = u, checkWebhook(u)
	case schemeSNS, schemeSQS:
		t.place, err = parsePlace(u)
	case "":
		err = errors.New("its URL has no scheme: " + forms)
	default:
		err = fmt.Errorf("the scheme %q is not known: %s", u.Scheme, forms)
	}
	return t, err
}

func checkWebhook(u *url.URL) error {
	switch {
	case u.Hostname() == "":
		return fmt.Errorf("%q names no host: a webhook is like https://example.com/path", u.Scheme+":")
	case u.Fragment != "":
		return fmt.Errorf("%q has a fragment (after #), which is never sent: leave it out", shown(u))
	}
	return nil
}

// shown returns a URL without what may be secret in it.
func shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// parameter is a member of a place by its name in a query.
type parameter struct {
	name  string
	value *string
	check func(name, value string) error
}

func (p *place) parameters() []parameter {
	return []parameter{
		{"queue", &p.queue, checkService},
		{"endpoint", &p.endpoint, checkService},
		{"region", &p.region, checkRegion},
		{"profile", &p.profile, func(string, string) error { return nil }},
	}
}

// parsePlace reads the query of sns: and sqs:.
func parsePlace(u *url.URL) (place, error) {
	var p place
	if u.Opaque != "" || u.Host != "" || u.Path != "" || u.User != nil || u.Fragment != "" {
		return p, fmt.Errorf("after %q only a query may follow, like %s", u.Scheme+":", u.Scheme+":?region=us-east-1")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return p, fmt.Errorf("its query cannot be read (%w): write & and ; inside a value as %%26 and %%3B", err)
	}
	known := p.parameters()
	if u.Scheme == schemeSNS {
		known = slices.DeleteFunc(known, func(k parameter) bool { return k.name == "queue" })
	}
	for _, k := range known {
		if err := k.take(query); err != nil {
			return p, err
		}
	}
	for name := range query {
		return p, fmt.Errorf("the parameter %q is not known: possible are %s", name, names(known))
	}
	if u.Scheme == schemeSQS && p.queue == "" {
		return p, errors.New("it names no queue: write sqs:?queue=QUEUE-URL")
	}
	return p, nil
}

// take moves the parameter out of a query. An empty value is that of a parameter that is left out.
func (p parameter) take(query url.Values) error {
	values := query[p.name]
	delete(query, p.name)
	if len(values) > 1 {
		return fmt.Errorf("the parameter %s is there %d times: once is possible", p.name, len(values))
	}
	if len(values) == 0 || values[0] == "" {
		return nil
	}
	*p.value = values[0]
	return p.check(p.name, values[0])
}

func names(of []parameter) string {
	var all []string
	for _, p := range of {
		all = append(all, p.name)
	}
	return strings.Join(all, ", ")
}

// checkService checks the URL of a service. It has no user, since its callers sign with their keys.
func checkService(name, value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != schemeHTTP && u.Scheme != schemeHTTPS || u.Hostname() == "" {
		return fmt.Errorf("its %s is not a URL with http or https and a host, like http://127.0.0.1:4566", name)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("its %s, %s, may have neither a user nor a query nor a fragment: credentials come from the profile or the environment", name, shown(u))
	}
	if name == "queue" && strings.Trim(u.Path, "/") == "" {
		return fmt.Errorf("its queue, %s, has no path: a queue is like https://sqs.us-east-1.amazonaws.com/123456789012/restores", shown(u))
	}
	return nil
}

func checkRegion(_, value string) error {
	if !regionName.MatchString(value) {
		return fmt.Errorf("%q is no region: a region is like us-east-1", value)
	}
	return nil
}

// regionOf returns the region in the ARN of a topic, nothing if it has none.
func regionOf(topic string) string {
	if m := topicARN.FindStringSubmatch(topic); m != nil {
		return m[1]
	}
	return ""
}
