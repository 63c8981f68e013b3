package dbtest

const jobVariable = "SESGUARD_OUTBOX_JOB"

func work(job string) int { return 0 }
