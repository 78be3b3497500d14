package daemon

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moraine-archive/moraine/internal/audit"
	"github.com/moraine-archive/moraine/internal/config"
)

// RecordCommand writes a line of the audit log about a command of an administrator that has changed something: "admin key remove", and what it was given.
func RecordCommand(c config.Config, command string, arguments []string, now time.Time) error {
	if c.AuditPath() == "" {
		return nil
	}
	log := openAudit(c)
	err := errors.Join(log.Write(audit.Entry{
		Time: now, Caller: fmt.Sprintf("uid:%d", unix.Getuid()), Address: "local", Action: strings.Replace(command, " ", ":", 1), Resource: strings.Join(arguments, " "), Decision: audit.Allowed,
	}), log.Close())
	if err != nil {
		return fmt.Errorf("it was done, but the audit log %s has no line about it: %w", c.AuditPath(), err)
	}
	return nil
}

func openAudit(c config.Config) *audit.Log {
	return audit.Open(c.AuditPath(), int64(c.AuditSize), c.AuditKeep)
}
