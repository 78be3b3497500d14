package names

import (
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

func TestLocal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the places are those of Unix")
	}
	for path, want := range map[string]string{
		"a":                       "a",
		"a/b.txt":                 "a/b.txt",
		"./a//b/./c":              "a/b/c",
		"/etc/hosts":              "etc/hosts",
		"//a":                     "a",
		`C:\photos\a.jpg`:         "C/photos/a.jpg",
		"c:/photos/a.jpg":         "c/photos/a.jpg",
		`\\server\share\a.jpg`:    "server/share/a.jpg",
		`a\b`:                     `a\b`, // a name like others here
		"c:a":                     "c:a",
		"12:30.log":               "12:30.log",
		"...":                     "...",
		"..a/b..":                 "..a/b..",
		" a ":                     " a ",
		"März/тест":               "März/тест",
		"-rf":                     "-rf",
		"nul":                     "nul",
		strings.Repeat("x", 255):  strings.Repeat("x", 255),
		"SHA256E-s1--abc.mp3":     "SHA256E-s1--abc.mp3",
		"a/" + `{"path": "a\\b"}`: "a/" + `{"path": "a\\b"}`,
	} {
		if got, err := Local(path); got != want || err != nil {
			t.Errorf("Local(%q) = %q, %v, want %q", path, got, err, want)
		}
	}
}

func TestLocalRefuses(t *testing.T) {
	for path, says := range map[string]string{
		"": "directory", "/": "directory", ".": "directory", "a/": "directory", "a/.": "directory", "C:/": "directory", `C:\`: "directory",
		"..": "..", "../a": "..", "a/../b": "..", "a/..": "..", `..\a`: "..", `a\..\..\b`: "..", "/..": "..", `C:\..\a`: "..", `a/..\b`: "..",
		"a\x00b": "NUL", "a/\xff": "UTF-8", "a/" + strings.Repeat("x", 256): "256 bytes",
	} {
		got, err := Local(path)
		if err == nil {
			t.Errorf("Local(%q) = %q, want an error", path, got)
			continue
		}
		if !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), strconv.Quote(path)) {
			t.Errorf("Local(%q): %v, which does not say %q", path, err, says)
		}
	}
}

func FuzzLocal(f *testing.F) {
	for _, path := range []string{"a/b", "/etc/hosts", `C:\a`, "..", `a\..\b`, "a/./b", "//a//"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		local, err := Local(path)
		if err != nil {
			return
		}
		if !filepath.IsLocal(local) || filepath.Clean(local) != local || local == "." {
			t.Errorf("Local(%q) = %q", path, local)
		}
		if rel, err := filepath.Rel("/target", filepath.Join("/target", local)); err != nil || rel != local {
			t.Errorf("Local(%q) = %q leads to %q, %v", path, local, rel, err)
		}
	})
}
