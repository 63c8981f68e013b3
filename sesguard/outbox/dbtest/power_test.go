package dbtest

import (
	"context"
	stderrors "errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

var powerCuts = flag.Int("powercuts", 10, "power cuts of the test of them")

var errPower = stderrors.New("there is no power")

// A disk keeps what SQLite has written apart from what it has waited for. When its
// power is cut, of the rest any part is left, in the order of the writes to each
// file.
type disk struct {
	vfs.VFS
	lies bool // nobody waits for it, as with synchronous=OFF

	mu     sync.Mutex
	writes int // until the cut
	dead   bool
	images map[string]*image
}

// An image is a file as it is after a power cut, and what may be missing then.
type image struct {
	data    []byte
	pending []write
}

// A write of data, or without data the end of the file.
type write struct {
	at   int64
	data []byte
}

func (i *image) apply(n int) {
	for _, w := range i.pending[:n] {
		if w.data == nil {
			i.data = i.data[:min(int(w.at), len(i.data))]
			continue
		}
		if end := int(w.at) + len(w.data); end > len(i.data) {
			i.data = append(i.data, make([]byte, end-len(i.data))...)
		}
		copy(i.data[w.at:], w.data)
	}
	i.pending = i.pending[n:]
}

func (d *disk) OpenFilename(file *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := d.VFS.(vfs.VFSFilename).OpenFilename(file, flags)
	if err != nil {
		return nil, flags, err
	}
	name := file.String()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.images[name] == nil {
		d.images[name] = new(image)
	}
	return &diskFile{f, d, d.images[name]}, flags, nil
}

// Delete forgets a log whose last connection was closed.
func (d *disk) Delete(name string, syncDir bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errPower
	}
	delete(d.images, name)
	return d.VFS.Delete(name, syncDir)
}

// cut is whether the power is off.
func (d *disk) cut() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// save writes what is left to dir.
func (d *disk) save(t *testing.T, dir string, random *rand.Rand) {
	t.Helper()
	for name, i := range d.images {
		i.apply(random.IntN(len(i.pending) + 1))
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), i.data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

type diskFile struct {
	vfs.File
	disk  *disk
	image *image
}

func (f *diskFile) SharedMemory() vfs.SharedMemory {
	return f.File.(vfs.FileSharedMemory).SharedMemory()
}

func (f *diskFile) note(w write) error {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.writes--; d.writes <= 0 {
		d.dead = true
	}
	if d.dead {
		return errPower
	}
	f.image.pending = append(f.image.pending, w)
	return nil
}

func (f *diskFile) WriteAt(p []byte, at int64) (int, error) {
	if err := f.note(write{at, append([]byte{}, p...)}); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, at)
}

func (f *diskFile) Truncate(size int64) error {
	if err := f.note(write{at: size}); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// Sync does not ask the real disk: its power stays on.
func (f *diskFile) Sync(vfs.SyncFlag) error {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errPower
	}
	if !d.lies {
		f.image.apply(len(f.image.pending))
	}
	return nil
}

// powerCut sends mails until the power is cut, and the rest from what the disk has
// kept. It returns how many mails are lost and doubled.
func powerCut(t *testing.T, random *rand.Rand, lies bool) (v verdict) {
	before, after := t.TempDir(), t.TempDir()
	d := &disk{VFS: vfs.Find(""), lies: lies, writes: 200 + random.IntN(600), images: map[string]*image{}}
	name := fmt.Sprintf("disk%d", databases.Add(1))
	vfs.Register(name, d)
	defer vfs.Unregister(name)
	synctest.Test(t, func(t *testing.T) {
		opts := outbox.Options{DrainTimeout: -1}
		b := newBed(t, place{"sqlite3", "file:" + filepath.Join(before, "outbox.db") + "?vfs=" + name}, opts)
		stop := b.startWith(func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
			if d.cut() {
				return nil, errPower
			}
			return b.ses.Attempt(ctx, m)
		})
		var ids []string // of which Enqueue has said that they are stored
		for n := 0; !d.cut(); n++ {
			if tickets, err := b.Enqueue(t.Context(), outbox.Entry{Message: message(n)}); err == nil {
				ids = append(ids, tickets[0].ID)
			}
			if n%10 == 0 {
				time.Sleep(time.Second)
			}
		}
		stop()
		b.db.Close()
		d.save(t, after, random)
		again := newBed(t, place{"sqlite3", "file:" + filepath.Join(after, "outbox.db")}, outbox.Options{})
		again.ses = b.ses
		if err := again.Adopt(t.Context(), false); err != nil { // the files stand for the same ones
			t.Fatal(err)
		}
		stop = again.start()
		time.Sleep(2 * time.Minute) // and the lease is over
		stop()
		v = again.count(ids)
	})
	return v
}

// count is the verdict about mails of which some may not be there at all.
func (b *bed) count(ids []string) (v verdict) {
	accepted := map[string]int{}
	for _, m := range b.ses.accepted {
		accepted[m.TrackID()]++
	}
	for _, n := range accepted {
		if n > 1 {
			v.doubled++
		}
	}
	for _, id := range ids {
		r, err := b.Get(context.Background(), id)
		switch {
		case err != nil || r.State != outbox.Sent && r.State != outbox.InDoubt || r.State == outbox.Sent && accepted[id] == 0:
			v.lost++
		case r.State == outbox.InDoubt:
			v.doubts++
		}
	}
	return v
}

func TestAPowerCutLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(*seed, 4))
	t.Logf("-seed %d", *seed)
	for range *powerCuts {
		if v := powerCut(t, random, false); v.lost > 0 || v.doubled > 0 || v.doubts > inFlight {
			t.Errorf("%+v", v)
		}
	}
}
