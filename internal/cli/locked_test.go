package cli_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/moraintest"
)

// commandName is a command in the help of the one above it.
var commandName = regexp.MustCompile(`(?m)^  ([a-z]+) {2,}`) // read only

// commandsBelow returns the commands that do something, from what help says.
func commandsBelow(t *testing.T, path string) (leaves []string) {
	t.Helper()
	_, help, _ := run(nil, append(strings.Fields(path), "--help")...)
	_, list, found := strings.Cut(help, "Available Commands:\n")
	if !found {
		return []string{path}
	}
	list, _, _ = strings.Cut(list, "\n\n")
	for _, m := range commandName.FindAllStringSubmatch(list, -1) {
		leaves = append(leaves, commandsBelow(t, path+" "+m[1])...)
	}
	return leaves
}

// TestNoCommandUnlocks runs every command of an administrator against a locked vault. An archive that is too young cannot be deleted after any of them, by anybody.
func TestNoCommandUnlocks(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	archive := s.Upload(t, "v", []byte("evidence"), "")
	policy, err := json.Marshal(map[string]string{"Policy": `{"Version":"2012-10-17","Statement":[{"Sid":"keep","Effect":"Deny","Principal":"*",` +
		`"Action":"glacier:DeleteArchive","Resource":"*","Condition":{"NumericLessThan":{"glacier:ArchiveAgeInDays":"365"}}}]}`})
	if err != nil {
		t.Fatal(err)
	}
	lock := s.Want(t, 201, moraintest.Request{Method: "POST", Path: "/-/vaults/v/lock-policy", Body: policy}).Header.Get("x-amz-lock-id")
	s.Want(t, 204, moraintest.Request{Method: "POST", Path: "/-/vaults/v/lock-policy/" + lock})

	a := administrator{t, s.Data}
	allow := write(t, `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	key := keyOf(t, a.does("key", "add", "--json")).ID
	keys := []moraintest.Key{s.Key} // of the root, and of whoever a command has made
	const stopped = "stopped: "     // the server is, while the command runs
	ran := map[string]bool{}
	leaves := commandsBelow(t, "admin")
	for _, line := range []string{
		"account add other",
		"account list",
		"user add alice --account 123456789012 --policy AmazonGlacierFullAccess --json",
		"user list",
		"user policy set alice " + allow + " --account 123456789012",
		"user policy get alice --account 123456789012",
		"user policy remove alice --account 123456789012 --name AmazonGlacierFullAccess",
		"role add restorer --account 123456789012 --policy AmazonGlacierFullAccess",
		"role list",
		"role policy set restorer AmazonGlacierFullAccess --account 123456789012 --name also",
		"role policy get restorer --account 123456789012",
		"role policy remove restorer --account 123456789012 --name also",
		"key add --account 123456789012 --json",
		"key list",
		"key disable " + key,
		"key enable " + key,
		"key remove " + key,
		"token --account 123456789012 --mfa --json",
		"token --account 123456789012 --user alice --mfa --json",
		"token --account 123456789012 --role restorer --session s1 --mfa --json",
		"notifications list",
		"notifications retry --all",
		"check",
		"scrub",
		"sweep",
		"compact",
		"volumes",
		"backup",
		stopped + "sweep",
		stopped + "compact",
		stopped + "scrub",
		stopped + "rebuild --replace",
		"user remove alice --account 123456789012",
		"role remove restorer --account 123456789012",
		stopped + "rebuild --replace --read-data --no-backup",
	} {
		command, stop := strings.CutPrefix(line, stopped)
		for _, leaf := range leaves {
			ran[leaf] = ran[leaf] || strings.HasPrefix("admin "+command+" ", leaf+" ")
		}
		if stop {
			s.Stop(t)
		}
		said := a.does(strings.Fields(command)...)
		if stop {
			s.Restart(t)
		}
		keys = append(keys, made(said)...)
		undeletable(t, s, line, archive, keys)
	}
	for leaf, did := range ran {
		if !did {
			t.Errorf("moraine %s is not tried: give it a row", leaf)
		}
	}
	if len(keys) < 6 {
		t.Errorf("the commands have made %d keys, which are fewer than they print", len(keys)-1)
	}
}

// made returns the key that a command has printed.
func made(said string) []moraintest.Key {
	var doc struct {
		ID     string `json:"access_key_id"`
		Secret string `json:"secret_access_key"`

		AccessKeyID, SecretAccessKey, SessionToken string
	}
	switch err := json.Unmarshal([]byte(said), &doc); {
	case err != nil:
		return nil
	case doc.ID != "":
		return []moraintest.Key{{ID: doc.ID, Secret: doc.Secret}}
	}
	return []moraintest.Key{{ID: doc.AccessKeyID, Secret: doc.SecretAccessKey, Token: doc.SessionToken}}
}

// undeletable wants nobody to be able to delete the archive, and the lock to be there.
func undeletable(t *testing.T, s *moraintest.Server, after, archive string, keys []moraintest.Key) {
	t.Helper()
	for _, k := range keys {
		r := s.Do(t, moraintest.Request{Method: "DELETE", Path: "/123456789012/vaults/v/archives/" + archive, Key: k})
		denied := r.Status == 403 && strings.Contains(r.Message(), `explicit deny in the vault lock policy, statement "keep"`)
		if unknown := k != s.Key && r.Code() == "UnrecognizedClientException"; !denied && !unknown {
			t.Errorf("after %q the deletion with the key %s is answered with %d %s", after, k.ID, r.Status, r.Body)
		}
	}
	if d := s.Want(t, 200, moraintest.Request{Method: "GET", Path: "/-/vaults/v/lock-policy"}).JSON(t); d["State"] != "Locked" {
		t.Errorf("after %q the lock is %v", after, d)
	}
}
