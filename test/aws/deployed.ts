import type { Job } from 'millrace'
import { type CheckpointStep, type CheckpointStepResult, checkpointHandler } from '../../functions/checkpoint-handler.js'
import { type DeploymentPlan, deploymentPlan } from '../../functions/deployment-plan.js'
import type { HandlerOptions } from '../../functions/handler-options.js'
import { type RevisionStepResult, revisionStepHandler } from '../../functions/revision-steps.js'
import type { SendMessage } from '../../functions/sqs-sender.js'
import type { SqsEventRecord } from '../../functions/stage-event.js'
import { type StageHandler, stageHandler } from '../../functions/stage-handler.js'
import { hasSource } from '../../runtime/task/stage-names.js'
import type { AwsImitation } from './imitation.js'

interface Message extends SqsEventRecord {
  readonly stage: string
  /** When it arrives, epoch ms. */
  readonly at: number
}

/** As Lambda hands over one that comes for the first time. */
export function message(messageId: string, body: string): SqsEventRecord {
  return { messageId, body, attributes: { ApproximateReceiveCount: '1' } }
}

/** A job "deployed" on the imitation: streams, queues, and functions with the environment that StreamJob gives them. */
export class Deployed {
  readonly plan: DeploymentPlan
  /** A warm instance of each stage's function. */
  #instances = new Map<string, StageHandler>()
  /** What each shard's mapping has acknowledged. */
  readonly #acknowledged = new Map<string, number>()
  /** Messages that were sent and not taken yet. */
  messages: Message[] = []
  /** What the functions have logged. */
  readonly lines: string[] = []
  /** Further environment variables of stages' functions. */
  more: Readonly<Record<string, string>> = {}
  #sent = 0
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

  /** Deployed, and activated. */
  static async active(aws: AwsImitation, job: Job, parameters: readonly string[] = [], parallelism = 1): Promise<Deployed> {
    const deployed = new Deployed(aws, job, parameters, parallelism)
    await deployed.activate()
    return deployed
  }

  readonly send: SendMessage = async (queue, body, delaySeconds) => {
    const messageId = `message-${++this.#sent}`
    this.messages.push({ ...message(messageId, body), stage: queue.slice('queue:'.length), at: Date.now() + delaySeconds * 1_000 })
  }

  stream(stage: string): string {
    return `${this.plan.job}-${stage}`
  }

  get sourceStage(): string {
    return Object.keys(this.plan.sourceStreams)[0]
  }

  /** What the functions have logged as having failed, or as having to wait, oldest first. */
  get failures(): { readonly code?: string; readonly uid?: string; readonly message: string }[] {
    return this.lines.map((line) => JSON.parse(line)).filter(({ message }) => message !== undefined)
  }

  variables(stage?: string): Record<string, string> {
    const { graph, job, fingerprint, sourceStreams } = this.plan
    const receivers = graph.edges.filter(({ from }) => from === stage).map(({ to }) => [to, this.stream(to)])
    const queues = graph.vertices.filter(({ id }) => stage === undefined || id === stage).map(({ id }) => [id, `queue:${id}`])
    return {
      MILLRACE_JOB: job,
      MILLRACE_REVISION: '1',
      MILLRACE_PLAN: fingerprint,
      MILLRACE_PARAMETERS: JSON.stringify(this.parameters),
      MILLRACE_PARALLELISM: String(this.parallelism),
      MILLRACE_TABLE: 'table',
      MILLRACE_BUCKET: 'bucket',
      MILLRACE_BINDINGS: JSON.stringify(Object.fromEntries(Object.entries(sourceStreams).map(([id, logical]) => [logical, this.stream(id)]))),
      MILLRACE_QUEUES: JSON.stringify(Object.fromEntries(queues)),
      ...(stage === undefined
        ? {}
        : {
            ...this.more,
            MILLRACE_STAGE: stage,
            MILLRACE_STREAM: this.stream(stage),
            MILLRACE_STREAMS: JSON.stringify(Object.fromEntries(receivers)),
          }),
    }
  }

  /** Another instance of the stage's function: nothing in memory. */
  coldInstance(stage: string): StageHandler {
    return stageHandler(this.job, this.options(stage))
  }

  options(stage?: string): HandlerOptions {
    return { variables: this.variables(stage), send: this.send, log: (line) => this.lines.push(line) }
  }

  instance(stage: string): StageHandler {
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

  /** Begins with nothing. */
  activate(): Promise<RevisionStepResult> {
    return revisionStepHandler(this.job, this.options())({ step: 'activate', from: null, expected: 0, allowStateLoss: [] })
  }

  control(step: CheckpointStep): Promise<CheckpointStepResult> {
    return checkpointHandler(this.job, this.options())(step)
  }

  /** The first step of the state machine of checkpoints. */
  async beginCheckpoint(): Promise<number> {
    const result = await this.control({ step: 'begin', input: {} })
    if (result.status !== 'begun') throw new Error(`the checkpoint was not begun: ${JSON.stringify(result)}`)
    return result.checkpointId
  }

  poll(checkpointId: number): Promise<CheckpointStepResult> {
    return this.control({ step: 'poll', checkpointId })
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

  /** Hands the messages that have arrived to their functions, also to those for one subtask only; false when there were none. */
  async deliverMessages(subtask?: string, instanceOf = (stage: string): StageHandler => this.instance(stage)): Promise<boolean> {
    const now = Date.now()
    const isDue = ({ at, stage, body }: Message) => at <= now && (subtask === undefined || subtask === `${stage}/${JSON.parse(body).poke.subtask}`)
    const due = this.messages.filter(isDue)
    this.messages = this.messages.filter((message) => !isDue(message))
    for (const message of due) {
      const { batchItemFailures } = await instanceOf(message.stage)({ Records: [message] })
      if (batchItemFailures.length > 0) this.messages.push({ ...message, attributes: { ApproximateReceiveCount: '2' } })
    }
    return due.length > 0
  }

  /** Pokes one subtask, as a tick does. */
  async poke(stage: string, subtask: string, handler = this.instance(stage)): Promise<boolean> {
    const body = JSON.stringify({ poke: { stage, subtask, atMs: 0 } })
    return (await handler({ Records: [message('poke', body)] })).batchItemFailures.length === 0
  }

  /** Invokes functions until every record of every stream and every message that has arrived is taken. */
  async run(batchSize: number): Promise<void> {
    for (let rounds = 0, busy = true; busy; rounds++) {
      if (rounds > 10_000) throw new Error('the job does not come to rest')
      busy = await this.deliverMessages()
      for (const vertex of this.plan.graph.vertices) {
        const shards = hasSource(vertex) ? this.aws.shards(this.stream(vertex.id)) : vertex.parallelism
        for (let shard = 0; shard < shards; shard++) if (await this.invokeNext(vertex.id, shard, batchSize)) busy = true
      }
    }
  }
}
