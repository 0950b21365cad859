/** One run, as both engines print it in one line of JSON. Flink's peer (bench/flink) uses the same names. */
export interface BenchResult {
  /** `millrace-VERSION` or `flink-VERSION`. */
  readonly engine: string
  readonly job: string
  /** Source events. */
  readonly events: number
  readonly parallelism: number
  readonly state: string
  /** Checkpoint interval, ms; 0: none. */
  readonly checkpointMs: number
  /** Events a second of event time. */
  readonly eps: number
  /** First record generated .. job finished. */
  readonly runSec: number
  readonly submitToDoneSec: number
  /** events / runSec. */
  readonly eventsPerSec: number
  /** CPU of the whole process from submission to the end of the job, all threads. */
  readonly cpuSec: number
  /** CPU that other processes of the machine used meanwhile. */
  readonly otherCpuSec: number
  readonly eventsPerCpuSec: number
  readonly maxRssMb: number
  /** Results that reached the sinks. */
  readonly outputs: number
  /** Sum of the results' FNV-1a-32 hashes, modulo 2^53. */
  readonly hash: number
  readonly ckptCompleted?: number
  readonly ckptFailed?: number
  readonly ckptDurAvgMs?: number
  readonly ckptDurMaxMs?: number
  readonly ckptWrittenAvgKb?: number
  /** Load average over a minute, at the end. */
  readonly load1: number
}

/** What Millrace's own runs tell besides. */
export interface MillraceBenchResult extends BenchResult {
  /** Worker threads that were asked for; null: the engine's default. */
  readonly threads: number | null
  readonly node: string
  readonly cpu: string
  readonly cores: number
}
