package daemon

import (
	"context"
	"log/slog"

	"github.com/moraine-archive/moraine/internal/clock"
	"github.com/moraine-archive/moraine/internal/config"
)

// OpenOn is openOn, for tests with machines of their own.
func OpenOn(ctx context.Context, c config.Config, logger *slog.Logger, m clock.Machine) (*Daemon, error) {
	return openOn(ctx, c, logger, m)
}
