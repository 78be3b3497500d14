package cli_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/moraintest"
)

// TestServe runs the program itself.
func TestServe(t *testing.T) {
	program := build(t)
	for name, test := range map[string]func(*testing.T, string){
		"first start":      firstStart,
		"new account":      newAccount,
		"administrators":   administrators,
		"given root key":   givenRootKey,
		"configuration":    configuration,
		"second server":    secondServer,
		"drain":            drain,
		"drain has an end": drainHasAnEnd,
		"kill":             kill,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, program)
		})
	}
}

// firstStart holds that the first start makes a key and keeps it where only its owner reads it, and that later starts leave it.
func firstStart(t *testing.T, program string) {
	data := filepath.Join(t.TempDir(), "data of mine")
	p := serve(t, program, data, nil)
	path := filepath.Join(data, "credentials")
	if !strings.Contains(p.stdout.String(), "\nCredentials: "+path+"\n") {
		t.Errorf("the greeting does not name %s:\n%s", path, &p.stdout)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("%s has mode %v, want -rw-------: %v", path, info.Mode(), err)
	}
	key := credentials(t, path)
	if said := p.stdout.String() + p.stderr.String(); strings.Contains(said, key.Secret) {
		t.Errorf("the secret is in what the server says:\n%s", said)
	}
	p.Key = key
	p.CreateVault(t, "photos")
	archive := p.Upload(t, "photos", moraintest.Pattern(3<<20), "stays")
	p.stop(t)

	p = serve(t, program, data, nil)
	if again := credentials(t, path); again != key {
		t.Errorf("after the second start the key is %s, not %s", again.ID, key.ID)
	}
	p.Key = key
	job := p.InitiateJob(t, "photos", fmt.Sprintf(`{"Type":"archive-retrieval","ArchiveId":%q}`, archive))
	p.WaitForJob(t, "photos", job)
	r := p.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults/photos/jobs/" + job + "/output"})
	if r.Body != string(moraintest.Pattern(3<<20)) {
		t.Errorf("after the second start the archive has %d other bytes", len(r.Body))
	}
	p.stop(t)
}

// newAccount holds that an account that is made beside the running server is known at once, and sees nothing of another.
func newAccount(t *testing.T, program string) {
	data := t.TempDir()
	p := serve(t, program, data, nil)
	p.Key = credentials(t, filepath.Join(data, "credentials"))
	p.CreateVault(t, "photos")
	code, stdout, stderr := command(t, program, nil, "admin", "account", "add", "alice", "--data", data, "--json")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	alice := keyOf(t, stdout)
	if got := p.vaults(t, alice); got != "" {
		t.Errorf("the new account sees the vaults %q", got)
	}
	for _, r := range []moraintest.Request{
		{Method: "GET", Path: "/" + p.Key.Account + "/vaults"},
		{Method: "GET", Path: "/" + p.Key.Account + "/vaults/photos"},
		{Method: "GET", Path: "/" + p.Key.Account + "/vaults/absent"},
		{Method: "DELETE", Path: "/" + p.Key.Account + "/vaults/photos"},
	} {
		r.Key = alice
		if got := p.Do(t, r); got.Status != 403 || got.Code() != "AccessDeniedException" {
			t.Errorf("%s %s by the new account: status %d %s, want 403", r.Method, r.Path, got.Status, got.Body)
		}
	}
	if got := p.Do(t, moraintest.Request{Method: "PUT", Path: "/-/vaults/mine", Key: alice}); got.Status != 201 {
		t.Errorf("CreateVault by the new account: status %d %s", got.Status, got.Body)
	}
	if mine, others := p.vaults(t, alice), p.vaults(t, p.Key); mine != "mine" || others != "photos" {
		t.Errorf("the new account sees %q, the first %q", mine, others)
	}
	p.stop(t)
}

// givenRootKey holds that the first account and its key can be given, and its key replaced.
func givenRootKey(t *testing.T, program string) {
	data := t.TempDir()
	environ := func(id, secret string) []string {
		return []string{"MORAINE_ROOT_ACCESS_KEY_ID=" + id, "MORAINE_ROOT_SECRET_ACCESS_KEY=" + secret, "MORAINE_ROOT_ACCOUNT_ID=210987654321"}
	}
	first := moraintest.Key{Account: "210987654321", ID: "AKIAFIRST", Secret: "the first secret"}
	p := serve(t, program, data, environ(first.ID, first.Secret))
	if _, err := os.Stat(filepath.Join(data, "credentials")); err == nil {
		t.Error("a credentials file was written, although the key was given")
	}
	if said := p.stdout.String() + p.stderr.String(); strings.Contains(said, first.Secret) || !strings.Contains(said, first.ID) {
		t.Errorf("what the server says should have the id of the key and not its secret:\n%s", said)
	}
	r := p.Do(t, moraintest.Request{Method: "PUT", Path: "/210987654321/vaults/photos", Key: first})
	if got := r.Header.Get("Location"); got != "/210987654321/vaults/photos" {
		t.Errorf("CreateVault: status %d, Location %q", r.Status, got)
	}
	p.stop(t)

	second := moraintest.Key{ID: first.ID, Secret: "the second secret"}
	p = serve(t, program, data, environ(second.ID, second.Secret))
	if got := p.vaults(t, second); got != "photos" {
		t.Errorf("with a new secret the first account sees %q", got)
	}
	if r := p.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults", Key: first}); r.Status != 403 {
		t.Errorf("the old secret still works: status %d", r.Status)
	}
	p.stop(t)

	// Without the variables the account stays. There is no file to point at.
	p = serve(t, program, data, nil)
	if strings.Contains(p.stdout.String(), filepath.Join(data, "credentials")) {
		t.Errorf("the greeting names a file that does not exist:\n%s", &p.stdout)
	}
	if got := p.vaults(t, second); got != "photos" {
		t.Errorf("without the variables the first account sees %q", got)
	}
	p.stop(t)

	p = launch(t, program, append(environ(first.ID, first.Secret), "MORAINE_ROOT_ACCOUNT_ID=111111111111"), "serve", "--data", data)
	if code := p.exit(t, time.Minute); code != 1 || !strings.Contains(p.stderr.String(), "210987654321") {
		t.Errorf("another account id: exit code %d, standard error %q; want 1 and the id that there is", code, &p.stderr)
	}
}

// configuration holds the order of the sources: flags before the environment, the environment before the file.
func configuration(t *testing.T, program string) {
	file := write(t, "region: from-file\nvault-page: 1\npage: 7\ndata: /nonexistent/data\nroot-access-key-id: AKIAFILE\nroot-secret-access-key: secret\n")
	p := serve(t, program, t.TempDir(), []string{"MORAINE_REGION=from-environment", "MORAINE_VAULT_PAGE=2", "MORAINE_CONFIG=" + file}, "--vault-page", "3")
	p.Key = moraintest.Key{ID: "AKIAFILE", Secret: "secret"}
	if p.Region != "from-environment" {
		t.Errorf("the region is %s, want that of the environment", p.Region)
	}
	for i := range 4 {
		p.CreateVault(t, fmt.Sprint("vault-", i))
	}
	if got := p.vaults(t, p.Key); got != "vault-0 vault-1 vault-2" {
		t.Errorf("a page has the vaults %q, want three, as the flag says", got)
	}
	p.Upload(t, "vault-0", []byte("x"), "")
	for range 8 {
		p.InitiateJob(t, "vault-0", `{"Type":"inventory-retrieval"}`)
	}
	jobs := p.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults/vault-0/jobs"}).JSON(t)["JobList"].([]any)
	if len(jobs) != 7 {
		t.Errorf("a page has %d jobs, want 7, as the file says", len(jobs))
	}
	p.stop(t)
}

// secondServer holds that a data directory has one server, and is free again when that has gone, however it went.
func secondServer(t *testing.T, program string) {
	if code, _, stderr := command(t, program, nil, "serve", "--nonsense"); code != 2 || !strings.Contains(stderr, "--nonsense") {
		t.Errorf("an unknown flag: exit code %d, standard error %q; want 2 and the flag", code, stderr)
	}
	data := t.TempDir()
	first := serve(t, program, data, nil)
	code, stdout, stderr := command(t, program, nil, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data", data)
	if code != 1 || stdout != "" || !strings.Contains(stderr, data) || !strings.Contains(stderr, "in use by another server") {
		t.Errorf("exit code %d, standard output %q, standard error %q; want 1, nothing, and which directory is in use", code, stdout, stderr)
	}
	at := strings.TrimPrefix(first.Endpoint, "http://")
	code, _, stderr = command(t, program, nil, "serve", "--listen", at, "--admin-listen", "127.0.0.1:0", "--data", t.TempDir())
	if code != 1 || !strings.Contains(stderr, at) || !strings.Contains(stderr, "--listen") {
		t.Errorf("an address in use: exit code %d, standard error %q; want 1, the address, and the flag", code, stderr)
	}
	first.cmd.Process.Kill()
	<-first.ended
	serve(t, program, data, nil).stop(t)
}

// slowUpload is an upload that has brought half its bytes.
type slowUpload struct {
	rest io.WriteCloser
	half []byte
	done chan *http.Response // nil if the request failed
}

// beginUpload begins an upload to the vault photos and returns when the server has begun to write it to its data directory.
func beginUpload(t *testing.T, p *process, data string) *slowUpload {
	t.Helper()
	body := moraintest.Pattern(4 << 20)
	req := p.HTTPRequest(t, moraintest.Request{Method: "POST", Path: "/-/vaults/photos/archives", Header: moraintest.UploadHeaders(body), Body: body})
	r, w := io.Pipe()
	req.Body, req.GetBody = r, nil
	u := &slowUpload{rest: w, half: body[len(body)/2:], done: make(chan *http.Response, 1)}
	go func() {
		res, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			res.Body.Close()
		}
		u.done <- res
	}()
	if _, err := w.Write(body[:len(body)/2]); err != nil {
		t.Fatal(err)
	}
	wait(t, p, "the file of the upload", func() []string { // that the bytes were sent does not say that they were received
		found, _ := filepath.Glob(filepath.Join(data, "volumes", "??", "*.vol"))
		return found
	})
	return u
}

// drain holds that SIGTERM lets an upload end that has begun, and takes no new one.
func drain(t *testing.T, program string) {
	data := t.TempDir()
	p := serve(t, program, data, nil)
	p.Key = credentials(t, filepath.Join(data, "credentials"))
	p.CreateVault(t, "photos")
	u := beginUpload(t, p, data)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wait(t, p, "draining", func() []string {
		if res, err := (&http.Client{Transport: &http.Transport{}}).Get(p.Endpoint); err == nil {
			res.Body.Close()
			return nil
		}
		return []string{"refused"}
	})
	if _, err := u.rest.Write(u.half); err != nil {
		t.Fatal(err)
	}
	u.rest.Close()
	res := <-u.done
	if res == nil || res.StatusCode != 201 {
		t.Fatalf("the upload that had begun was answered with %v, want 201", res)
	}
	http.DefaultClient.CloseIdleConnections()
	if code := p.exit(t, 30*time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	p = serve(t, program, data, nil)
	p.Key = credentials(t, filepath.Join(data, "credentials"))
	check(t, p, map[string][]byte{res.Header.Get("x-amz-archive-id"): moraintest.Pattern(4 << 20)})
	p.stop(t)
}

// drainHasAnEnd holds that the process ends within 30 seconds, whatever a client does.
func drainHasAnEnd(t *testing.T, program string) {
	if testing.Short() {
		t.Skip("takes the 25 s that running requests have")
	}
	data := t.TempDir()
	p := serve(t, program, data, nil, "--stall-timeout", "10m")
	p.Key = credentials(t, filepath.Join(data, "credentials"))
	p.CreateVault(t, "photos")
	u := beginUpload(t, p, data)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(t, 30*time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	u.rest.Close()
	if res := <-u.done; res != nil {
		t.Errorf("the upload that never ended was answered with %d", res.StatusCode)
	}
}

// kill holds that what was acknowledged is there after the process was killed in the midst of uploads, several times over.
func kill(t *testing.T, program string) {
	data := t.TempDir()
	k := &killed{archives: map[string][]byte{}}
	for round := range 3 {
		p := serve(t, program, data, nil)
		p.Key = credentials(t, filepath.Join(data, "credentials"))
		p.CreateVault(t, "photos")
		k.check(t, p)
		k.uploadUntilKilled(t, p, round)
	}
	p := serve(t, program, data, nil)
	p.Key = credentials(t, filepath.Join(data, "credentials"))
	k.check(t, p)
	p.stop(t)
}

// killed is what a server has acknowledged that is killed again and again.
type killed struct {
	mu       sync.Mutex
	archives map[string][]byte // by id; guarded by mu
	upload   string            // in parts of 1 MiB; "" until it is begun
	parts    int               // of upload, the first ones
}

// uploadUntilKilled uploads archives of many sizes and the parts of one upload from several clients, and kills the server after some were
// acknowledged.
func (k *killed) uploadUntilKilled(t *testing.T, p *process, round int) {
	t.Helper()
	if k.upload == "" {
		r := p.Do(t, moraintest.Request{Method: "POST", Path: "/-/vaults/photos/multipart-uploads", Header: map[string]string{"x-amz-part-size": "1048576"}})
		k.upload = r.Header.Get("x-amz-multipart-upload-id")
	}
	var clients sync.WaitGroup
	acknowledged := make(chan struct{}, 10000)
	client := func(send func(random *rand.Rand) bool, n int) {
		random := rand.New(rand.NewPCG(uint64(round), uint64(n)))
		for send(random) {
			acknowledged <- struct{}{}
		}
	}
	for n := range 4 {
		clients.Go(func() { client(func(r *rand.Rand) bool { return k.sendArchive(t, p, r) }, n) })
	}
	clients.Go(func() { client(func(*rand.Rand) bool { return k.sendPart(t, p) }, 4) })
	for range 40 {
		select {
		case <-acknowledged:
		case <-time.After(time.Minute):
			t.Error("the uploads do not go on")
		}
	}
	p.cmd.Process.Kill()
	<-p.ended
	clients.Wait()
}

// send sends a request that may be cut off by the end of the server; then it returns nil.
func send(t *testing.T, p *process, status int, r moraintest.Request) *http.Response {
	res, err := http.DefaultTransport.RoundTrip(p.HTTPRequest(t, r))
	if err != nil {
		return nil
	}
	res.Body.Close()
	if res.StatusCode != status {
		t.Errorf("%s %s with %d bytes: status %d, want %d", r.Method, r.Path, len(r.Body), res.StatusCode, status)
		return nil
	}
	return res
}

// sendArchive uploads an archive of 1 byte to 4 MiB. It reports whether the archive was acknowledged.
func (k *killed) sendArchive(t *testing.T, p *process, random *rand.Rand) bool {
	body := make([]byte, 1+random.IntN(1<<(8+random.IntN(15))))
	for i := range body {
		body[i] = byte(random.Uint32())
	}
	res := send(t, p, 201, moraintest.Request{Method: "POST", Path: "/-/vaults/photos/archives", Header: moraintest.UploadHeaders(body), Body: body})
	if res == nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.archives[res.Header.Get("x-amz-archive-id")] = body
	return true
}

// part returns the content of a part of the upload.
func part(n int) []byte { return bytes.Repeat([]byte{byte(n)}, 1<<20) }

// sendPart uploads the next part. It reports whether the part was acknowledged.
func (k *killed) sendPart(t *testing.T, p *process) bool {
	body := part(k.parts)
	header := moraintest.UploadHeaders(body)
	header["Content-Range"] = fmt.Sprintf("bytes %d-%d/*", k.parts<<20, (k.parts+1)<<20-1)
	if send(t, p, 204, moraintest.Request{Method: "PUT", Path: "/-/vaults/photos/multipart-uploads/" + k.upload, Header: header, Body: body}) == nil {
		return false
	}
	k.parts++
	return true
}

// check holds what there is against what was acknowledged. One part more may be there, that was stored without an answer.
func (k *killed) check(t *testing.T, p *process) {
	t.Helper()
	check(t, p, k.archives)
	if k.upload == "" {
		return
	}
	listed := p.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults/photos/multipart-uploads/" + k.upload}).JSON(t)["Parts"].([]any)
	if len(listed) != k.parts && len(listed) != k.parts+1 {
		t.Errorf("%d parts were acknowledged, %d are there", k.parts, len(listed))
	}
	for i, l := range listed {
		first, want := i<<20, moraintest.TreeHash(part(i))
		if got := l.(map[string]any); got["SHA256TreeHash"] != want || got["RangeInBytes"] != fmt.Sprintf("%d-%d", first, first+1<<20-1) {
			t.Errorf("part %d is %v, want the one with the hash %s", i, got, want)
		}
	}
}

// check holds the archives of the vault photos against what was acknowledged. There may be more: an upload may have been stored without an
// answer.
func check(t *testing.T, p *process, acknowledged map[string][]byte) {
	t.Helper()
	listed := map[string]bool{}
	if len(acknowledged) > 0 {
		job := p.InitiateJob(t, "photos", `{"Type":"inventory-retrieval"}`)
		p.WaitForJob(t, "photos", job)
		inventory := p.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults/photos/jobs/" + job + "/output"}).JSON(t)
		for _, a := range inventory["ArchiveList"].([]any) {
			listed[a.(map[string]any)["ArchiveId"].(string)] = true
		}
	}
	for id, want := range acknowledged {
		if !listed[id] {
			t.Errorf("the archive %s of %d bytes was acknowledged and is not in the inventory", id, len(want))
		}
		got := p.archive(t, id)
		if !bytes.Equal(got, want) {
			t.Errorf("the archive %s was acknowledged with %d bytes and has %d, or other ones", id, len(want), len(got))
		}
		delete(listed, id)
	}
	for id := range listed {
		p.archive(t, id)
	}
}

// archive retrieves an archive of the vault photos.
func (p *process) archive(t *testing.T, id string) []byte {
	t.Helper()
	job := p.InitiateJob(t, "photos", fmt.Sprintf(`{"Type":"archive-retrieval","ArchiveId":%q}`, id))
	p.WaitForJob(t, "photos", job)
	r := p.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults/photos/jobs/" + job + "/output"})
	if r.Status != 200 {
		t.Errorf("the archive %s: status %d %s", id, r.Status, r.Body)
	}
	return []byte(r.Body)
}
