package api_test

import (
	"testing"

	"github.com/moraine-archive/moraine/internal/moraintest"
)

// configure sends a notification configuration.
func (v jobVault) configure(t *testing.T, body string) moraintest.Response {
	t.Helper()
	return v.Do(t, moraintest.Request{Method: "PUT", Path: v.path() + "/notification-configuration", Body: []byte(body)})
}

// unconfigure deletes the notification configuration.
func (v jobVault) unconfigure(t *testing.T) moraintest.Response {
	t.Helper()
	return v.Do(t, moraintest.Request{Method: "DELETE", Path: v.path() + "/notification-configuration"})
}

// wantNoContent checks that a response is a success without a body.
func wantNoContent(t *testing.T, res moraintest.Response) {
	t.Helper()
	if res.Status != 204 || res.Body != "" || res.Header.Get("Content-Type") != "" {
		t.Errorf("status %d, type %q, body %q; want 204 and nothing", res.Status, res.Header.Get("Content-Type"), res.Body)
	}
}

func TestNotificationConfiguration(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "photos")
	t.Run("edge 241 nothing set", func(t *testing.T) {
		wantError(t, v.get(t, "/notification-configuration"), 404, notFound, "No notification configuration is set for vault: photos")
	})
	t.Run("edge 242 nothing to delete", func(t *testing.T) { wantNoContent(t, v.unconfigure(t)) })

	const topic, other = "arn:aws:sns:us-east-1:123456789012:restores", "arn:aws-cn:sns:cn-north-1:999999999999:a_B-9.fifo"
	for _, tt := range []struct{ name, body, want string }{
		{"both events", `{"SNSTopic":"` + topic + `","Events":["ArchiveRetrievalCompleted","InventoryRetrievalCompleted"]}`,
			`{"Events":["ArchiveRetrievalCompleted","InventoryRetrievalCompleted"],"SNSTopic":"` + topic + `"}`},
		{"one event replaces both", `{"Events":["InventoryRetrievalCompleted"],"SNSTopic":"` + topic + `"}`,
			`{"Events":["InventoryRetrievalCompleted"],"SNSTopic":"` + topic + `"}`},
		{"order is kept, duplicates collapse", `{"SNSTopic":"` + topic + `","Events":["InventoryRetrievalCompleted","ArchiveRetrievalCompleted","InventoryRetrievalCompleted"]}`,
			`{"Events":["InventoryRetrievalCompleted","ArchiveRetrievalCompleted"],"SNSTopic":"` + topic + `"}`},
		{"topic of another account and region", `{"SNSTopic":"` + other + `","Events":["ArchiveRetrievalCompleted"]}`,
			`{"Events":["ArchiveRetrievalCompleted"],"SNSTopic":"` + other + `"}`},
		{"members that nobody knows", `{"Colour":null,"SNSTopic":"` + topic + `","Events":["ArchiveRetrievalCompleted"]}`,
			`{"Events":["ArchiveRetrievalCompleted"],"SNSTopic":"` + topic + `"}`},
	} {
		t.Run("edge 241 set and get: "+tt.name, func(t *testing.T) {
			wantNoContent(t, v.configure(t, tt.body))
			if res := v.get(t, "/notification-configuration"); res.Status != 200 || res.Body != tt.want || res.Header.Get("Content-Type") != "application/json" {
				t.Errorf("status %d, type %q\n got %s\nwant %s", res.Status, res.Header.Get("Content-Type"), res.Body, tt.want)
			}
		})
	}
	inForce := v.get(t, "/notification-configuration").Body
	for _, tt := range []struct{ name, body, code, message string }{
		{"243 unknown event", `{"SNSTopic":"` + topic + `","Events":["ArchiveDeleted"]}`, invalid, `Invalid event: "ArchiveDeleted"`},
		{"243 unknown event among known ones", `{"SNSTopic":"` + topic + `","Events":["ArchiveRetrievalCompleted","ArchiveDeleted"]}`, invalid, `Invalid event: "ArchiveDeleted"`},
		{"243 event in other case", `{"SNSTopic":"` + topic + `","Events":["archiveRetrievalCompleted"]}`, invalid, "Invalid event"},
		{"243 topic no ARN", `{"SNSTopic":"restores","Events":["ArchiveRetrievalCompleted"]}`, invalid, `Invalid SNS topic: "restores"`},
		{"243 topic of another service", `{"SNSTopic":"arn:aws:sqs:us-east-1:123456789012:q","Events":["ArchiveRetrievalCompleted"]}`, invalid, "Invalid SNS topic"},
		{"243 topic without account", `{"SNSTopic":"arn:aws:sns:us-east-1::q","Events":["ArchiveRetrievalCompleted"]}`, invalid, "Invalid SNS topic"},
		{"244 no topic", `{"Events":["ArchiveRetrievalCompleted"]}`, missing, "Required parameter missing: SNSTopic"},
		{"244 topic null", `{"SNSTopic":null,"Events":["ArchiveRetrievalCompleted"]}`, missing, "Required parameter missing: SNSTopic"},
		{"244 no events", `{"SNSTopic":"` + topic + `"}`, missing, "Required parameter missing: Events"},
		{"244 events null", `{"SNSTopic":"` + topic + `","Events":null}`, missing, "Required parameter missing: Events"},
		{"244 neither", `{}`, missing, "Required parameter missing: "},
		{"244 no body", ``, missing, "Required parameter missing: "},
		{"245 no event", `{"SNSTopic":"` + topic + `","Events":[]}`, invalid, "Invalid Events"},
		{"245 events no list", `{"SNSTopic":"` + topic + `","Events":"ArchiveRetrievalCompleted"}`, malformed, "Events must be"},
		{"245 event no string", `{"SNSTopic":"` + topic + `","Events":[1]}`, malformed, "Events must be"},
		{"245 topic no string", `{"SNSTopic":{},"Events":["ArchiveRetrievalCompleted"]}`, malformed, "SNSTopic must be"},
		{"245 no JSON", `SNSTopic=x`, malformed, ""},
	} {
		t.Run("edge "+tt.name, func(t *testing.T) {
			wantError(t, v.configure(t, tt.body), 400, tt.code, tt.message)
			if got := v.get(t, "/notification-configuration").Body; got != inForce {
				t.Errorf("the configuration was %s and is %s", inForce, got)
			}
		})
	}
	t.Run("edge 249, edge 182 topics that lead nowhere", func(t *testing.T) {
		id := v.Upload(t, v.name, []byte("x"), "")
		if _, d := v.run(t, `{"Type":"archive-retrieval","ArchiveId":"%s","SNSTopic":"%s"}`, id, other); d["StatusCode"] != "Succeeded" || d["SNSTopic"] != other {
			t.Errorf("the job ended %v", d)
		}
	})
	t.Run("edge 241 survives a restart", func(t *testing.T) {
		v.Restart(t)
		if got := v.get(t, "/notification-configuration").Body; got != inForce {
			t.Errorf("the configuration was %s and is %s", inForce, got)
		}
	})
	t.Run("edge 242 deleted", func(t *testing.T) {
		wantNoContent(t, v.unconfigure(t))
		wantError(t, v.get(t, "/notification-configuration"), 404, notFound, "No notification configuration is set for vault: photos")
		wantNoContent(t, v.unconfigure(t))
	})
	t.Run("edge 241 vault that does not exist", func(t *testing.T) {
		absent := jobVault{v.Server, "absent"}
		message := "Vault not found for ARN: " + absent.arn()
		wantError(t, absent.get(t, "/notification-configuration"), 404, notFound, message)
		wantError(t, absent.unconfigure(t), 404, notFound, message)
		wantError(t, absent.configure(t, `{"SNSTopic":"`+topic+`","Events":["ArchiveRetrievalCompleted"]}`), 404, notFound, message)
		wantError(t, absent.configure(t, `{"SNSTopic":"`+topic+`","Events":[]}`), 400, invalid, "Invalid Events") // syntax comes first
	})
}
