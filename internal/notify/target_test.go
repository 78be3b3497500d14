package notify_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/notify"
)

func TestParseTargets(t *testing.T) {
	for name, test := range map[string]struct{ row, shown string }{
		"a webhook":               {restores + "=https://example.com/hooks/a?b=c", restores + "=https://example.com/hooks/a"},
		"with user and password":  {restores + "=http://me:secret@127.0.0.1:8080", restores + "=http://127.0.0.1:8080"},
		"with an address of IPv6": {restores + "=http://[::1]:8080/a%2Fb", restores + "=http://[::1]:8080/a%2Fb"},
		"for every topic":         {"*=https://example.com/", "*=https://example.com/"},
		"in capitals":             {"*=HTTPS://example.com/", "*=https://example.com/"},
		"with spaces around":      {" *=https://example.com/\n", "*=https://example.com/"},
		"a FIFO topic":            {restores + ".fifo=sns:", restores + ".fifo=sns:"},
		"a topic of China":        {"arn:aws-cn:sns:cn-north-1:123456789012:a=sns:", "arn:aws-cn:sns:cn-north-1:123456789012:a=sns:"},
		"SNS":                     {"*=sns:", "*=sns:"},
		"SNS with an empty query": {"*=sns:?", "*=sns:"},
		"SNS with empty values":   {"*=sns:?endpoint=&region=&profile=", "*=sns:"},
		"SNS with all":            {"*=sns:?profile=ops&region=eu-west-1&endpoint=http%3A%2F%2F127.0.0.1:5000", "*=sns:?endpoint=http://127.0.0.1:5000&region=eu-west-1&profile=ops"},
		"SQS":                     {"*=sqs:?queue=http://127.0.0.1:5000/1/a", "*=sqs:?queue=http://127.0.0.1:5000/1/a"},
		"SQS with all": {"*=sqs:?region=us-east-1&queue=https://sqs.us-east-1.amazonaws.com/1/a&endpoint=http://[::1]:1&profile=x",
			"*=sqs:?queue=https://sqs.us-east-1.amazonaws.com/1/a&endpoint=http://[::1]:1&region=us-east-1&profile=x"},
	} {
		t.Run(name, func(t *testing.T) {
			targets, err := notify.ParseTargets([]string{test.row})
			noError(t, err)
			if got := targets[0].String(); len(targets) != 1 || got != test.shown {
				t.Errorf("there are %d targets, the first one %s, want %s", len(targets), got, test.shown)
			}
		})
	}
	none, err := notify.ParseTargets(nil)
	if len(none) != 0 || err != nil {
		t.Errorf("no rows are %v, %v", none, err)
	}
}

func TestParseTargetsRefuses(t *testing.T) {
	const forms = "possible are TOPIC=https://HOST/PATH (or http), TOPIC=sns: and TOPIC=sqs:?queue=QUEUE-URL, where TOPIC is " +
		"the ARN of a topic, like arn:aws:sns:us-east-1:123456789012:restores, or *"
	const noTopic = " does not begin with a topic and an equals sign: " + forms
	const unusable = "target 1, that of *, cannot be used: "
	for name, test := range map[string]struct{ row, says string }{
		"nothing":                      {"", `target 1, "",` + noTopic},
		"no equals sign":               {restores, `target 1, "` + restores + `",` + noTopic},
		"no topic":                     {"https://me:secret@example.com/?key=secret", `target 1, "https://...",` + noTopic},
		"a topic that is no ARN":       {"restores=sns:", `target 1, "restores=sns:",` + noTopic},
		"the ARN of a vault":           {"arn:aws:glacier:eu-west-1:123456789012:vaults/a=sns:", noTopic},
		"a pattern":                    {"arn:aws:sns:*=sns:", noTopic},
		"no URL":                       {"*=", unusable + "its URL has no scheme: " + forms},
		"no scheme":                    {"*=example.com/hook", unusable + "its URL has no scheme: " + forms},
		"an unknown scheme":            {"*=mailto:me@example.com", unusable + `the scheme "mailto" is not known: ` + forms},
		"an odd password":              {"*=https://me:sec ret@example.com/", unusable + "it is no URL: what is not a letter or a digit in a user's name, a password or a query has to be written as %XX"},
		"a webhook without host":       {"*=https:///secret", unusable + `"https:" names no host: a webhook is like https://example.com/path`},
		"a webhook as SNS writes ARNs": {"*=http:127.0.0.1", "names no host"},
		"a webhook with a port only":   {"*=http://:80/", "names no host"},
		"a webhook with a fragment":    {"*=https://example.com/a?b=secret#c", unusable + `"https://example.com/a" has a fragment (after #), which is never sent: leave it out`},
		"SNS with a topic":             {"*=sns:" + restores, unusable + `after "sns:" only a query may follow, like sns:?region=us-east-1`},
		"SNS with a host":              {"*=sns://127.0.0.1:5000", `after "sns:" only a query may follow`},
		"SNS with a queue":             {"*=sns:?queue=http://127.0.0.1/1/a", unusable + `the parameter "queue" is not known: possible are endpoint, region, profile`},
		"SQS with something unknown":   {"*=sqs:?queue=http://127.0.0.1/1/a&acl=x", unusable + `the parameter "acl" is not known: possible are queue, endpoint, region, profile`},
		"a parameter twice":            {"*=sns:?region=a&region=b", unusable + "the parameter region is there 2 times: once is possible"},
		"a broken query":               {"*=sns:?region=%zz", unusable + `its query cannot be read (invalid URL escape "%zz"): write & and ; inside a value as %26 and %3B`},
		"an odd region":                {"*=sns:?region=eu/west", unusable + `"eu/west" is no region: a region is like us-east-1`},
		"an endpoint without scheme":   {"*=sns:?endpoint=127.0.0.1:5000", unusable + "its endpoint is not a URL with http or https and a host, like http://127.0.0.1:4566"},
		"an endpoint with a password":  {"*=sns:?endpoint=http://me:secret@127.0.0.1", unusable + "its endpoint, http://127.0.0.1, may have neither a user nor a query nor a fragment: credentials come from the profile or the environment"},
		"SQS without a queue":          {"*=sqs:", unusable + "it names no queue: write sqs:?queue=QUEUE-URL"},
		"SQS with an empty queue":      {"*=sqs:?queue=", "it names no queue"},
		"the name of a queue":          {"*=sqs:?queue=restores", unusable + "its queue is not a URL with http or https and a host"},
		"a queue without path":         {"*=sqs:?queue=http://127.0.0.1:5000/", unusable + "its queue, http://127.0.0.1:5000/, has no path: a queue is like https://sqs.us-east-1.amazonaws.com/123456789012/restores"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := notify.ParseTargets([]string{test.row})
			wantError(t, err, test.says)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error is %q, which tells a secret", err)
			}
		})
	}
}

func TestOneTargetPerTopic(t *testing.T) {
	_, err := notify.ParseTargets([]string{"*=sns:", restores + "=sns:", inventories + "=sns:", restores + "=https://example.com/"})
	wantError(t, err, "the topic "+restores+" has two targets: it may have one")
	_, err = notify.ParseTargets([]string{"*=sns:", restores + "=ftp://example.com/"})
	wantError(t, err, "target 2, that of "+restores+", cannot be used: ")
}

// FuzzParseTargets holds what is accepted to be shown without secrets, in a form that is accepted too.
func FuzzParseTargets(f *testing.F) {
	for _, row := range []string{
		"*=sns:", "*=sns:?region=eu-west-1&endpoint=http://127.0.0.1:5000&profile=a", "*=sqs:?queue=http://127.0.0.1/1/a", restores + "=https://me:pw@example.com/a?b#c",
		"=", "*=", "*=http://[::1", "*=sqs:?queue=%", "*=sns:?a;b", restores + ".fifo=HTTP://h\x00",
	} {
		f.Add(row)
	}
	f.Fuzz(func(t *testing.T, row string) {
		targets, err := notify.ParseTargets([]string{row})
		if err != nil {
			if len(targets) != 0 {
				t.Errorf("%q gives %v and the error %v", row, targets, err)
			}
			return
		}
		topic, _, _ := strings.Cut(strings.TrimSpace(row), "=")
		if len(targets) != 1 || targets[0].Topic != topic {
			t.Fatalf("%q gives %v", row, targets)
		}
		shown := targets[0].String()
		u, err := url.Parse(strings.TrimPrefix(shown, topic+"="))
		if err != nil || u.User != nil || u.Host != "" && (u.RawQuery != "" || u.Fragment != "") {
			t.Errorf("%q is shown as %q", row, shown)
		}
		if u.Host == "" && strings.ContainsAny(shown, "&%+;") { // values are shown as they are meant, not as they are written
			return
		}
		again, err := notify.ParseTargets([]string{shown})
		if err != nil || again[0].String() != shown {
			t.Errorf("%q is shown as %q, and that as %v, %v", row, shown, again, err)
		}
	})
}
