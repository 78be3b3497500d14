package vfstest

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
)

// Survival says what of the things that were never synced is there after a power failure. A disk may keep any of it.
type Survival int

// The ways to survive.
const (
	Nothing    Survival = iota // only what was synced
	Everything                 // all that was written
	Anything                   // a random part: writes out of order, torn at sectors, names without their bytes
)

// sector is what a disk writes at once.
const sector = 512

// Reboot returns the disk as it is after the power came back. The old one stays down, with every file that was open on it. rnd is used for Anything only.
func (d *Disk) Reboot(s Survival, rnd *rand.Rand) *Disk {
	d.Crash()
	return d.Snapshot(s, rnd)
}

// Snapshot returns the disk as it would be if the power failed now and came back. This one goes on.
func (d *Disk) Snapshot(s Survival, rnd *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := New()
	seen := map[*node]*node{}                               // a node is rebooted once
	for _, path := range slices.Sorted(maps.Keys(d.dirs)) { // in an order, so that a seed gives the same disk again
		old, survivor := d.dirs[path], newDir()
		survivor.synced = maps.Clone(old.synced)
		for _, c := range old.pending {
			if s == Everything || s == Anything && rnd.IntN(2) == 0 {
				survivor.apply(c)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(survivor.synced)) {
			n := survivor.synced[name]
			if seen[n] == nil {
				seen[n] = n.reboot(s, rnd)
			}
			survivor.synced[name] = seen[n]
			after.nodes[filepath.Join(path, name)] = seen[n]
			survivor.names[name] = true
		}
		after.dirs[path] = survivor
	}
	for path := range after.dirs {
		if parent := after.dirs[filepath.Dir(path)]; filepath.Dir(path) != path {
			parent.names[filepath.Base(path)] = true
		}
	}
	return after
}

// reboot returns what is left of a file.
func (n *node) reboot(s Survival, rnd *rand.Rand) *node {
	data := bytes.Clone(n.synced)
	for _, w := range n.pending {
		switch {
		case s == Everything:
			data = w.apply(data)
		case s == Anything && w.data == nil:
			if rnd.IntN(2) == 0 {
				data = w.apply(data)
			}
		case s == Anything:
			data = tear(data, w, rnd)
		}
	}
	return &node{data: data, synced: bytes.Clone(data)}
}

// tear puts a random choice of the sectors of a write into data.
func tear(data []byte, w write, rnd *rand.Rand) []byte {
	keep := rnd.IntN(4) // 0: nothing, 1: all, otherwise: a choice
	for at := int64(0); at < int64(len(w.data)); {
		end := min(int64(len(w.data)), (w.off+at)/sector*sector+sector-w.off)
		if keep == 1 || keep > 1 && rnd.IntN(2) == 0 {
			data = overwrite(data, w.data[at:end], w.off+at)
		}
		at = end
	}
	return data
}
