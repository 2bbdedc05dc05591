package agent

import (
	"log/slog"

	"golang.org/x/sys/unix"
)

// tellHolding says at the start how rotated files will be held until they are
// delivered. A hard link cannot lead from one mount to another, even of one
// file system (do_linkat in fs/namei.c); whether the files' owner or a
// capability allows it shows with the first file, and is said then.
func tellHolding(log *slog.Logger, logDir, dataDir string) {
	from, err := mountOf(logDir)
	if err != nil {
		return // there is none yet, which others say
	}
	to, err := mountOf(dataDir)
	if err != nil {
		return
	}
	if from == to {
		log.Info("rotated log files are held by hard links until they are delivered", "log_dir", logDir, "data_dir", dataDir)
		return
	}
	log.Warn("rotated log files are held open until they are delivered, which neither survives a restart nor holds more than a few for each container: "+
		"log_dir and data_dir are on different mounts, mount one directory that holds both", "log_dir", logDir, "data_dir", dataDir)
}

// mountOf identifies the mount that a path is on; kernels before 5.8 name the
// file system alone.
func mountOf(path string) (id [2]uint64, err error) {
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &s); err != nil {
		return id, err
	}
	id[0] = uint64(s.Dev_major)<<32 | uint64(s.Dev_minor)
	if s.Mask&unix.STATX_MNT_ID != 0 {
		id[1] = s.Mnt_id
	}
	return id, nil
}
