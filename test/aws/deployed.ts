import type { Job } from 'millrace'
import { checkpointHandler } from '../../functions/barrier.js'
import { type DeploymentPlan, deploymentPlan } from '../../functions/deployment-plan.js'
import { stageHandler } from '../../functions/stage-handler.js'
import type { AwsImitation } from './imitation.js'

type Handler = ReturnType<typeof stageHandler>

/** A job "deployed" on the imitation: streams, and functions with the environment that StreamJob gives them. */
export class Deployed {
  readonly plan: DeploymentPlan
  /** A warm instance of each stage's function. */
  #instances = new Map<string, Handler>()
  /** What each shard's mapping has acknowledged. */
  readonly #acknowledged = new Map<string, number>()
  invocations = 0

  constructor(
    readonly aws: AwsImitation,
    readonly job: Job,
    readonly parameters: readonly string[] = [],
    readonly parallelism = 1,
  ) {
    this.plan = deploymentPlan(job, { parameters, parallelism })
    for (const { id, parallelism: shards } of this.plan.graph.vertices) aws.createStream(this.stream(id), shards)
  }

  stream(stage: string): string {
    return `${this.plan.job}-${stage}`
  }

  get sourceStage(): string {
    return Object.keys(this.plan.sourceStreams)[0]
  }

  variables(stage?: string): Record<string, string> {
    const { graph, job, fingerprint } = this.plan
    const receivers = graph.edges.filter(({ from }) => from === stage).map(({ to }) => [to, this.stream(to)])
    return {
      MILLRACE_JOB: job,
      MILLRACE_REVISION: '1',
      MILLRACE_PLAN: fingerprint,
      MILLRACE_PARAMETERS: JSON.stringify(this.parameters),
      MILLRACE_PARALLELISM: String(this.parallelism),
      MILLRACE_TABLE: 'table',
      MILLRACE_BUCKET: 'bucket',
      ...(stage === undefined
        ? {}
        : { MILLRACE_STAGE: stage, MILLRACE_STREAM: this.stream(stage), MILLRACE_STREAMS: JSON.stringify(Object.fromEntries(receivers)) }),
    }
  }

  /** Another instance of the stage's function: nothing in memory. */
  coldInstance(stage: string): Handler {
    return stageHandler(this.job, this.variables(stage))
  }

  instance(stage: string): Handler {
    let instance = this.#instances.get(stage)
    if (instance === undefined) {
      instance = this.coldInstance(stage)
      this.#instances.set(stage, instance)
    }
    return instance
  }

  /** From here every function starts cold. */
  forgetInstances(): void {
    this.#instances = new Map()
  }

  /** The first and the last step of the state machine of checkpoints. */
  async beginCheckpoint(): Promise<number> {
    return (await checkpointHandler(this.job, this.variables())({ step: 'begin' })).checkpointId
  }

  poll(checkpointId: number): Promise<unknown> {
    return checkpointHandler(this.job, this.variables())({ step: 'poll', checkpointId })
  }

  /** How many records of the shard the mapping has behind it. */
  acknowledged(stage: string, shard: number): number {
    return this.#acknowledged.get(`${this.stream(stage)}/${shard}`) ?? 0
  }

  /** One invocation with the next records of a shard, as the mapping would make it; false when there are none. */
  async invokeNext(stage: string, shard: number, batchSize: number, handler = this.instance(stage)): Promise<boolean> {
    const stream = this.stream(stage)
    const key = `${stream}/${shard}`
    const from = this.acknowledged(stage, shard)
    const records = this.aws.shard(stream, shard).slice(from, from + batchSize)
    if (records.length === 0) return false
    this.invocations++
    const { batchItemFailures } = await handler(this.aws.event(stream, shard, records))
    // Another poller may have been faster.
    if (batchItemFailures.length === 0) this.#acknowledged.set(key, Math.max(this.acknowledged(stage, shard), from + records.length))
    return true
  }

  /** Invokes functions until every record of every stream is acknowledged. */
  async run(batchSize: number): Promise<void> {
    for (let rounds = 0, busy = true; busy; rounds++) {
      if (rounds > 10_000) throw new Error('the job does not come to rest')
      busy = false
      for (const { id, parallelism } of this.plan.graph.vertices) {
        for (let shard = 0; shard < parallelism; shard++) if (await this.invokeNext(id, shard, batchSize)) busy = true
      }
    }
  }
}
