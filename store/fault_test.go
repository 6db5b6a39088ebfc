package store

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/internal/faultfs"
)

// The faults of a disk, at each operation that they can hit. The store works with
// small tables, so that the index writes some of them too.

// faultOptions makes everything small: segments, and tables of the index.
var faultOptions = Options{SegmentSize: 8 << 10, memTable: 32 << 10}

// underFault runs the workload on a disk that fails at the k-th operation, repairs
// the disk, and opens the store again. It returns what was hit, "" if nothing was.
func underFault(t *testing.T, fault faultfs.Fault, k int, sites map[string]int) string {
	t.Helper()
	mem := vfs.NewCrashableMem()
	disk := faultfs.Wrap(mem)
	opts := faultOptions
	opts.FS = disk
	opts = opts.forTest()
	a := newAcked()
	disk.Arm(fault, k)
	s, err := Open("data", opts)
	if err == nil {
		if err = crashWorkload(s, a); err != nil {
			checkSentence(t, err, fault)
			a.check(t, s)    // reads go on
			a.mu.planMin = 0 // the next one may get as far as a new plan
			if err := crashWorkload(s, a); err != nil {
				checkSentence(t, err, fault)
			}
			a.check(t, s)
		}
		if cerr := s.Close(); err == nil {
			err = cerr
		}
	} else {
		checkSentence(t, err, fault)
	}
	hit := disk.Hit()
	// A start on the disk as it is either works or says why not.
	if s, err := Open("data", opts); err == nil {
		a.check(t, s)
		s.Close()
	} else {
		checkSentence(t, err, fault)
	}
	if err != nil && hit == "" {
		t.Fatalf("op %d: %v", k, err)
	}
	if err != nil {
		sites[faultfs.Site(hit)]++
	}
	// Of two, one on the disk as it is, and one as a power loss would leave it.
	disk.Repair()
	if k%2 == 1 {
		opts.FS = mem.CrashClone(vfs.CrashCloneCfg{})
	}
	s, err = Open("data", opts)
	if err != nil {
		t.Fatalf("after op %d, %s: open again: %v", k, hit, err)
	}
	a.check(t, s)
	if err := crashWorkload(s, newAcked()); err != nil {
		t.Fatalf("after op %d, %s: %v", k, hit, err)
	}
	checkFinal(t, s)
	if err := s.Close(); err != nil {
		t.Fatalf("after op %d, %s: %v", k, hit, err)
	}
	return hit
}

// checkSentence fails if an error does not say what a person has to know.
func checkSentence(t *testing.T, err error, fault faultfs.Fault) {
	t.Helper()
	if !errors.Is(err, fault.Err) {
		t.Fatalf("the error does not name its cause, %v: %v", fault.Err, err)
	}
	if fault.Err == syscall.ENOSPC && !strings.Contains(err.Error(), "the disk is full, free space and start again") {
		t.Fatalf("the error does not say what to do: %v", err)
	}
}

// atEveryOperation runs the workload for each number of an operation, or for one in
// step, until none is hit any more.
func atEveryOperation(t *testing.T, fault faultfs.Fault, step int) {
	t.Helper()
	sites := map[string]int{}
	k := 0
	for ; underFault(t, fault, k, sites) != ""; k += step * sparse {
	}
	if len(sites) < 5 && sparse == 1 {
		t.Error("the workload is too small for this test")
	}
	t.Logf("%d operations; of those tried, these were reported: %v", k, sites)
}

// TestF9DiskFullAtEveryWrite: the disk is full from some operation on. The store says
// so, keeps what it has promised, gives it to readers, and goes on when there is room.
func TestF9DiskFullAtEveryWrite(t *testing.T) { atEveryOperation(t, faultfs.Full(), 1) }

// TestF10WriteErrors: the disk fails for good, or once, or it takes half of a write.
func TestF10WriteErrors(t *testing.T) {
	broken := faultfs.Broken()
	once := broken
	once.Once = true
	t.Run("for good", func(t *testing.T) { atEveryOperation(t, broken, 3) })
	t.Run("once", func(t *testing.T) { atEveryOperation(t, once, 2) })
	t.Run("half a write", func(t *testing.T) { atEveryOperation(t, faultfs.Torn(), 1) })
}

// TestF10SyncErrors: one sync fails, and nobody knows what it has kept.
func TestF10SyncErrors(t *testing.T) { atEveryOperation(t, faultfs.Unsynced(), 1) }

// TestF9RoomForTheIndex: what is put leaves room for the index. Then writing goes on as
// soon as there is more.
func TestF9RoomForTheIndex(t *testing.T) {
	disk := vfs.NewMem()
	s := openTest(t, "data", Options{FS: disk})
	r := []Record{{Hash: common.Hash{1}, Raw: make([]byte, 1000)}}
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: indexReserve + 1000})
	_, err := s.Put(r)
	checkSentence(t, err, faultfs.Full())
	if !NoRoom(err) {
		t.Errorf("it is not to be tried again: %v", err)
	}
	if err := s.SetMeta("a", []byte("value")); err != nil {
		t.Error(err)
	}
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: indexReserve + 2000})
	for range 2 { // what is held takes no room
		if _, err := s.Put(r); err != nil {
			t.Error(err)
		}
		disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1})
	}
}

// TestF9IndexTableCannotBeWritten: only the tables of the index find no room, which
// Pebble would try again for ever while commits wait.
func TestF9IndexTableCannotBeWritten(t *testing.T) {
	opts := faultOptions
	opts.FS = noTables{vfs.NewMem()}
	s, err := Open("data", opts.forTest())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() // tells of the error again
	for i := 0; err == nil; i++ {
		if i == 1000 {
			t.Fatal("nobody notices")
		}
		err = s.StartPlan(Plan{Head: planOf(1, 1)[0], Number: 1 << 20})
		for range 4 {
			if err == nil {
				err = s.AppendPlan(planOf(byte(i), 512), false)
			}
		}
	}
	checkSentence(t, err, faultfs.Full())
	if !errors.Is(err, ErrFailed) {
		t.Fatalf("want %v: %v", ErrFailed, err)
	}
}

// noTables is a file system without room for tables.
type noTables struct{ vfs.FS }

func (f noTables) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasSuffix(name, ".sst") {
		return nil, syscall.ENOSPC
	}
	return f.FS.Create(name, c)
}
