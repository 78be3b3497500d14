package api_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/moraintest"
	"github.com/moraine-archive/moraine/internal/vault"
)

// contents is a server and the requests for what it holds: vaults, archives, uploads.
type contents struct{ *moraintest.Server }

func startContents(t *testing.T, options ...func(*config.Config)) contents {
	t.Helper()
	return contents{moraintest.Start(t, options...)}
}

// vault is a vault as the tests of jobs and inventories use it.
func (s contents) vault(name string) jobVault { return jobVault{s.Server, name} }

// get returns the document at a path.
func (s contents) get(t *testing.T, path string) map[string]any {
	t.Helper()
	return s.Want(t, 200, moraintest.Request{Method: "GET", Path: path}).JSON(t)
}

// remove deletes what is at a path.
func (s contents) remove(t *testing.T, path string) {
	t.Helper()
	s.Want(t, 204, moraintest.Request{Method: "DELETE", Path: path})
}

// refused sends a request that must fail, see wantRefused.
func (s contents) refused(t *testing.T, status int, code, message string, r moraintest.Request) {
	t.Helper()
	wantRefused(t, s.Do(t, r), status, code, message)
}

// arn returns the ARN of a vault of the first account.
func (s contents) arn(name string) string {
	return "arn:aws:glacier:us-east-1:123456789012:vaults/" + name
}

// counts checks what a vault says of its contents. An empty date stands for null.
func (s contents) counts(t *testing.T, name string, archives, size int, inventory string) {
	t.Helper()
	d := s.get(t, "/-/vaults/"+name)
	date, _ := d["LastInventoryDate"].(string)
	if d["NumberOfArchives"] != float64(archives) || d["SizeInBytes"] != float64(size) || date != inventory {
		t.Errorf("vault %s: %v archives, %v bytes, inventory %q; want %d, %d, %q",
			name, d["NumberOfArchives"], d["SizeInBytes"], date, archives, size, inventory)
	}
}

// inventoryDate returns the LastInventoryDate of a vault, "" for null.
func (s contents) inventoryDate(t *testing.T, name string) string {
	t.Helper()
	return s.vault(name).lastInventory(t)
}

// nextInventory lets a day pass and waits for the inventory of a vault that was written to.
func (s contents) nextInventory(t *testing.T, name string) {
	t.Helper()
	s.vault(name).awaitInventory(t)
}

// list returns the names on a page of vaults, and the marker ("" for null).
func (s contents) list(t *testing.T, key moraintest.Key, query string) (names []string, marker string) {
	t.Helper()
	doc := s.Want(t, 200, moraintest.Request{Method: "GET", Path: "/-/vaults" + query, Key: key}).JSON(t)
	for _, v := range doc["VaultList"].([]any) {
		names = append(names, v.(map[string]any)["VaultName"].(string))
	}
	marker, _ = doc["Marker"].(string)
	return names, marker
}

// createAll makes vaults of an account, without HTTP.
func (s contents) createAll(t *testing.T, account string, names ...string) {
	t.Helper()
	for _, name := range names {
		must(t, s.Service().CreateVault(context.Background(), vault.Ref{Account: account, Name: name}))
	}
}

// numbered returns names that sort in their order.
func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("v%04d", i)
	}
	return names
}

func TestVaultRows(t *testing.T) {
	s := startContents(t)
	t.Run("edge 57 create a vault", func(t *testing.T) {
		res := s.Want(t, 201, moraintest.Request{Method: "PUT", Path: "/-/vaults/v57"})
		if got := res.Header.Get("Location"); got != "/123456789012/vaults/v57" || res.Body != "{}" {
			t.Errorf("Location %q, body %q", got, res.Body)
		}
	})
	t.Run("edge 58 create a vault that exists", func(t *testing.T) {
		s.CreateVault(t, "v58")
		s.Upload(t, "v58", []byte("content"), "")
		before := s.Want(t, 200, moraintest.Request{Method: "GET", Path: "/-/vaults/v58"}).Body
		s.Advance(time.Minute)
		res := s.Want(t, 201, moraintest.Request{Method: "PUT", Path: "/-/vaults/v58"})
		if got := res.Header.Get("Location"); got != "/123456789012/vaults/v58" {
			t.Errorf("Location %q", got)
		}
		if after := s.Want(t, 200, moraintest.Request{Method: "GET", Path: "/-/vaults/v58"}).Body; after != before {
			t.Errorf("the vault changed from %s to %s", before, after)
		}
	})
	t.Run("edge 61 a name of 255 characters", func(t *testing.T) {
		name := strings.Repeat("aZ9._-", 43)[:255]
		s.CreateVault(t, name)
		if got := s.get(t, "/-/vaults/"+name)["VaultName"]; got != name {
			t.Errorf("VaultName %q", got)
		}
	})
	t.Run("edge 62 a name of 256 characters", func(t *testing.T) {
		name := strings.Repeat("a", 256)
		s.refused(t, 400, invalid, "Invalid vault name: "+name, moraintest.Request{Method: "PUT", Path: "/-/vaults/" + name})
	})
	t.Run("edge 63 create an illegal name", func(t *testing.T) {
		for path, name := range map[string]string{"my%20vault": "my vault", "my:vault": "my:vault", "%C3%A9": "é", "a%2Fb": "a/b", "%2E%2E": ".."} {
			s.refused(t, 400, invalid, "Invalid vault name: "+name, moraintest.Request{Method: "PUT", Path: "/-/vaults/" + path})
		}
	})
	t.Run("edge 64 an illegal name is not found, and shown as it is", func(t *testing.T) {
		for _, method := range []string{"GET", "DELETE"} { // a legal name that no vault has can be deleted, edge 83
			s.refused(t, 404, notFound, "Vault not found for ARN: my:vault", moraintest.Request{Method: method, Path: "/-/vaults/my:vault"})
		}
		s.refused(t, 404, notFound, "Vault not found for ARN: "+s.arn("absent"), moraintest.Request{Method: "GET", Path: "/-/vaults/absent"})
	})
	t.Run("edge 67 a new vault", func(t *testing.T) {
		s.CreateVault(t, "v67")
		body := s.Want(t, 200, moraintest.Request{Method: "GET", Path: "/-/vaults/v67"}).Body
		created := s.get(t, "/-/vaults/v67")["CreationDate"].(string)
		if _, err := time.Parse("2006-01-02T15:04:05.000Z", created); err != nil {
			t.Errorf("CreationDate: %v", err)
		}
		want := `{"CreationDate":"` + created + `","LastInventoryDate":null,"NumberOfArchives":0,"SizeInBytes":0,"VaultARN":"` +
			s.arn("v67") + `","VaultName":"v67"}`
		if body != want {
			t.Errorf("body %s\nwant %s", body, want)
		}
	})
}

// TestLiveCounts is the default behaviour where rows 68 and 69 describe the original's: a vault shows what it holds now.
func TestLiveCounts(t *testing.T) {
	s := startContents(t)
	s.CreateVault(t, "v")
	s.startPart(t, "v", moraintest.Pattern(100)) // not a write
	s.counts(t, "v", 0, 0, "")
	a := s.Upload(t, "v", moraintest.Pattern(1), "")
	first := s.inventoryDate(t, "v")
	s.counts(t, "v", 1, 1, first)
	if _, err := time.Parse("2006-01-02T15:04:05.000Z", first); err != nil {
		t.Errorf("LastInventoryDate: %v", err)
	}
	s.Advance(time.Hour)
	s.counts(t, "v", 1, 1, first)
	s.Upload(t, "v", moraintest.Pattern(3<<20), "")
	second := s.inventoryDate(t, "v")
	s.counts(t, "v", 2, 1+3<<20, second)
	s.Advance(time.Hour)
	s.remove(t, "/-/vaults/v/archives/"+a)
	third := s.inventoryDate(t, "v")
	s.counts(t, "v", 1, 3<<20, third)
	if !(first < second && second < third) {
		t.Errorf("LastInventoryDate went from %q to %q to %q", first, second, third)
	}
	s.Advance(time.Hour)
	s.remove(t, "/-/vaults/v/archives/"+a) // again: not a write
	s.counts(t, "v", 1, 3<<20, third)
}

func TestVaultRowsEmulated(t *testing.T) {
	s := startContents(t, moraintest.Emulate)
	t.Run("edge 68 counts are those of the last inventory", func(t *testing.T) {
		s.CreateVault(t, "v68")
		s.Upload(t, "v68", []byte("x"), "")
		s.Advance(time.Minute)
		must(t, s.Service().TakeInventories(context.Background()))
		s.counts(t, "v68", 0, 0, "")
	})
	t.Run("edge 69 each archive has an overhead", func(t *testing.T) {
		s.CreateVault(t, "v69")
		s.Upload(t, "v69", []byte("x"), "")
		s.nextInventory(t, "v69")
		taken := s.inventoryDate(t, "v69")
		s.counts(t, "v69", 1, 32769, taken)
		s.Upload(t, "v69", []byte("y"), "")
		s.counts(t, "v69", 1, 32769, taken)
		doc := s.get(t, "/-/vaults?marker="+url.QueryEscape(s.arn("v68")))
		if got := doc["VaultList"].([]any)[0].(map[string]any)["SizeInBytes"]; got != 32769.0 {
			t.Errorf("SizeInBytes in the list: %v", got)
		}
	})
	t.Run("edge 79 an archive in the last inventory", func(t *testing.T) {
		s.CreateVault(t, "v79")
		a := s.Upload(t, "v79", []byte("x"), "")
		s.nextInventory(t, "v79")
		s.notDeletable(t, "v79")
		t.Run("edge 80 all archives deleted after the last inventory", func(t *testing.T) {
			s.remove(t, "/-/vaults/v79/archives/"+a)
			s.notDeletable(t, "v79")
		})
		t.Run("edge 81 all archives deleted before the last inventory", func(t *testing.T) {
			s.nextInventory(t, "v79")
			s.remove(t, "/-/vaults/v79")
			s.refused(t, 404, notFound, "Vault not found for ARN: "+s.arn("v79"), moraintest.Request{Method: "GET", Path: "/-/vaults/v79"})
		})
	})
	t.Run("edge 82 uploaded and deleted before any inventory", func(t *testing.T) {
		s.CreateVault(t, "v82")
		s.remove(t, "/-/vaults/v82/archives/"+s.Upload(t, "v82", []byte("x"), ""))
		s.notDeletable(t, "v82")
		s.nextInventory(t, "v82")
		s.counts(t, "v82", 0, 0, s.inventoryDate(t, "v82"))
		s.remove(t, "/-/vaults/v82")
	})
	t.Run("edge 80 uploaded after an empty inventory", func(t *testing.T) {
		s.CreateVault(t, "v80")
		s.remove(t, "/-/vaults/v80/archives/"+s.Upload(t, "v80", []byte("x"), ""))
		s.nextInventory(t, "v80")
		s.Upload(t, "v80", []byte("y"), "")
		s.notDeletable(t, "v80")
	})
	t.Run("edge 78 never written to", func(t *testing.T) {
		s.CreateVault(t, "v78")
		s.remove(t, "/-/vaults/v78")
	})
}

// notDeletable checks that a vault refuses to be deleted, and is still there.
func (s contents) notDeletable(t *testing.T, name string) {
	t.Helper()
	s.refused(t, 400, invalid, "Vault not empty or recently written to: "+s.arn(name), moraintest.Request{Method: "DELETE", Path: "/-/vaults/" + name})
	s.get(t, "/-/vaults/"+name)
}

func TestListVaultsRows(t *testing.T) {
	s := startContents(t)
	accounts := 0
	owner := func(t *testing.T, names ...string) moraintest.Key {
		accounts++
		key := s.AddAccount(t, fmt.Sprintf("owner-%d", accounts))
		s.createAll(t, key.Account, names...)
		return key
	}
	t.Run("edge 65 names differ by case", func(t *testing.T) {
		s.listed(t, owner(t, "a", "A", "_"), "", "", "A", "_", "a")
	})
	t.Run("edge 66 names sort by byte", func(t *testing.T) {
		s.listed(t, owner(t, "a_1", "a1", "a.1", "a-1"), "", "", "a-1", "a.1", "a1", "a_1")
	})
	t.Run("edge 70 no vaults", func(t *testing.T) {
		res := s.Want(t, 200, moraintest.Request{Method: "GET", Path: "/-/vaults", Key: owner(t)})
		if want := `{"Marker":null,"VaultList":[]}`; res.Body != want {
			t.Errorf("body %s, want %s", res.Body, want)
		}
	})
	t.Run("edge 71 the default page holds 1,000", func(t *testing.T) {
		names := numbered(12)
		s.listed(t, owner(t, names...), "", "", names...)
	})
	key := owner(t, "a", "b", "c")
	prefix := "arn:aws:glacier:us-east-1:" + key.Account + ":vaults/"
	t.Run("edge 74 limits that cannot be", func(t *testing.T) {
		for _, limit := range []string{"0", "-1", "x", "", "1.5", "0x10"} {
			s.refused(t, 400, invalid, "Invalid limit: "+limit, moraintest.Request{Method: "GET", Path: "/-/vaults?limit=" + limit, Key: key})
		}
	})
	t.Run("edge 75 an empty marker", func(t *testing.T) {
		s.listed(t, key, "?marker=", "", "a", "b", "c")
		s.listed(t, key, "?limit=2&marker=", prefix+"b", "a", "b")
	})
	t.Run("edge 76 the vault of the marker is gone", func(t *testing.T) {
		_, marker := s.list(t, key, "?limit=2")
		if marker != prefix+"b" {
			t.Fatalf("Marker %q", marker)
		}
		s.Want(t, 204, moraintest.Request{Method: "DELETE", Path: "/-/vaults/b", Key: key})
		s.listed(t, key, "?limit=2&marker="+url.QueryEscape(marker), "", "c")
		s.listed(t, key, "?marker="+url.QueryEscape(prefix+"Zzz-never-made"), "", "a", "c")
	})
	t.Run("edge 77 a marker that is none", func(t *testing.T) {
		for _, marker := range []string{"nonsense", prefix, prefix + "a:b", s.arn("a"), strings.Replace(prefix, "us-east-1", "eu-west-1", 1) + "a", "a"} {
			s.refused(t, 400, invalid, "Invalid marker: "+marker, moraintest.Request{Method: "GET", Path: "/-/vaults?marker=" + url.QueryEscape(marker), Key: key})
		}
	})
}

// listed checks a page of vaults. An empty marker stands for null.
func (s contents) listed(t *testing.T, key moraintest.Key, query, marker string, names ...string) {
	t.Helper()
	got, next := s.list(t, key, query)
	if !slices.Equal(got, names) || next != marker {
		t.Errorf("ListVaults%s: %d vaults %q, marker %q; want %d, %q, %q", query, len(got), got, next, len(names), names, marker)
	}
}

func TestListVaultsEmulated(t *testing.T) {
	s := startContents(t, moraintest.Emulate)
	names := numbered(12)
	s.createAll(t, s.Key.Account, names...)
	tenth, key := s.arn(names[9]), s.Key
	t.Run("edge 71 the default page holds 10", func(t *testing.T) {
		s.listed(t, key, "", tenth, names[:10]...)
		s.listed(t, key, "?marker="+url.QueryEscape(tenth), "", names[10:]...)
	})
	t.Run("edge 72 a larger limit is cut to the maximum", func(t *testing.T) {
		for _, limit := range []string{"11", "1000", "9223372036854775808"} {
			s.listed(t, key, "?limit="+limit, tenth, names[:10]...)
		}
	})
	t.Run("edge 73 a full page with nothing behind it", func(t *testing.T) {
		s.remove(t, "/-/vaults/"+names[10])
		s.remove(t, "/-/vaults/"+names[11])
		s.listed(t, key, "", "", names[:10]...)
		s.listed(t, key, "?limit=10", "", names[:10]...)
	})
}

func TestThousandVaults(t *testing.T) {
	s := startContents(t)
	names := numbered(1000)
	s.createAll(t, s.Key.Account, names...)
	t.Run("edge 59 one more than 1,000", func(t *testing.T) {
		s.refused(t, 400, limitExceeded, "The account 123456789012 has 1000 vaults, which is the limit: new was not created",
			moraintest.Request{Method: "PUT", Path: "/-/vaults/new"})
		s.Want(t, 201, moraintest.Request{Method: "PUT", Path: "/-/vaults/new", Key: s.AddAccount(t, "other")})
	})
	t.Run("edge 60 an existing one at the limit", func(t *testing.T) {
		s.CreateVault(t, names[500])
	})
	t.Run("edge 72 a page of 1,000 in the default behaviour", func(t *testing.T) {
		s.listed(t, s.Key, "", "", names...)
		s.listed(t, s.Key, "?limit=1001", "", names...)
		s.listed(t, s.Key, "?limit=999", s.arn(names[998]), names[:999]...)
	})
	t.Run("edge 59 room after a deletion", func(t *testing.T) {
		s.remove(t, "/-/vaults/"+names[0])
		s.CreateVault(t, "new")
	})
}

func TestDeleteVaultRows(t *testing.T) {
	s := startContents(t)
	t.Run("edge 78 never written to", func(t *testing.T) {
		s.CreateVault(t, "v78")
		s.remove(t, "/-/vaults/v78")
		s.refused(t, 404, notFound, "Vault not found for ARN: "+s.arn("v78"), moraintest.Request{Method: "GET", Path: "/-/vaults/v78"})
	})
	t.Run("edge 79 a vault with an archive", func(t *testing.T) {
		s.CreateVault(t, "v79")
		a := s.Upload(t, "v79", []byte("x"), "")
		s.notDeletable(t, "v79")
		t.Run("edge 80 all archives deleted, in the default behaviour", func(t *testing.T) {
			s.remove(t, "/-/vaults/v79/archives/"+a)
			s.remove(t, "/-/vaults/v79")
		})
	})
	t.Run("edge 83 no such vault", func(t *testing.T) {
		s.remove(t, "/-/vaults/v83")
		s.remove(t, "/-/vaults/v78")
	})
	t.Run("edge 84 an open upload", func(t *testing.T) {
		s.CreateVault(t, "v84")
		before := s.Server.Records(t)
		upload := s.startPart(t, "v84", moraintest.Pattern(100))
		s.remove(t, "/-/vaults/v84")
		s.CreateVault(t, "v84")
		s.refused(t, 404, notFound, "The upload ID was not found: "+upload, moraintest.Request{Method: "GET", Path: "/-/vaults/v84/multipart-uploads/" + upload})
		if list := s.get(t, "/-/vaults/v84/multipart-uploads")["UploadsList"]; len(list.([]any)) != 0 {
			t.Errorf("uploads of the new vault: %v", list)
		}
		waitForRecords(t, s.Server, before)
	})
	t.Run("edge 85 jobs", func(t *testing.T) {
		s.CreateVault(t, "v85")
		a := s.Upload(t, "v85", []byte("x"), "")
		job := s.InitiateJob(t, "v85", `{"Type":"archive-retrieval","ArchiveId":"`+a+`"}`)
		s.WaitForJob(t, "v85", job)
		s.remove(t, "/-/vaults/v85/archives/"+a)
		inventory := s.InitiateJob(t, "v85", `{"Type":"inventory-retrieval"}`)
		s.remove(t, "/-/vaults/v85")
		for _, path := range []string{"", "/" + job, "/" + inventory, "/" + job + "/output"} {
			s.refused(t, 404, notFound, "Vault not found for ARN: "+s.arn("v85"), moraintest.Request{Method: "GET", Path: "/-/vaults/v85/jobs" + path})
		}
		s.CreateVault(t, "v85")
		s.refused(t, 404, notFound, "The job ID was not found: "+job, moraintest.Request{Method: "GET", Path: "/-/vaults/v85/jobs/" + job})
	})
	t.Run("edge 86 a notification configuration is not inherited", func(t *testing.T) {
		s.CreateVault(t, "v86")
		path := "/-/vaults/v86/notification-configuration"
		s.Want(t, 204, moraintest.Request{Method: "PUT", Path: path,
			Body: []byte(`{"SNSTopic":"arn:aws:sns:us-east-1:123456789012:t","Events":["ArchiveRetrievalCompleted"]}`)})
		s.get(t, path)
		s.remove(t, "/-/vaults/v86")
		s.CreateVault(t, "v86")
		s.refused(t, 404, notFound, "No notification configuration is set for vault: v86", moraintest.Request{Method: "GET", Path: path})
	})
	t.Run("edge 88 a deletion during an upload", func(t *testing.T) {
		s := startContents(t) // of its own: elsewhere bytes may still be going
		s.CreateVault(t, "v88")
		before := s.Server.Records(t)
		body := string(moraintest.Pattern(2 * mib)) // too long for a shared volume
		text := rawRequest{method: "POST", target: "/-/vaults/v88/archives", body: body, lines: hashLines(body)}.text(s.Server)
		c, half := dialRaw(t, s.Server), len(text)-mib
		c.write(t, text[:half])
		waitForFile(t, s.Server) // the vault was there when the upload began
		s.remove(t, "/-/vaults/v88")
		c.write(t, text[half:])
		wantRefused(t, c.answer(t, "POST"), 404, notFound, "Vault not found for ARN: "+s.arn("v88"))
		waitForRecords(t, s.Server, before)
	})
}
