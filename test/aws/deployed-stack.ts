import type { Job } from 'millrace'
import { vi } from 'vitest'
import type { ActivationAnswer, ActivationEvent } from '../../functions/activation-handler.js'
import { controlHandler } from '../../functions/control-handler.js'
import { type DeploymentPlan, deploymentPlan } from '../../functions/deployment-plan.js'
import type { DeployedRevision } from '../../functions/deployment-record.js'
import type { BatchResponse, KinesisEvent } from '../../functions/stage-event.js'
import { type StageHandler, stageHandler } from '../../functions/stage-handler.js'
import { hasSource } from '../../runtime/task/stage-names.js'
import { message } from './deployed.js'
import type { AwsImitation } from './imitation.js'
import { type ImitatedMapping, LambdaImitation } from './lambda-imitation.js'

/** A revision as the user writes it. */
export interface StackRevision {
  readonly revision: string
  readonly job: Job
  readonly parallelism: number
  readonly allowStateLoss?: readonly string[]
  readonly upgradeMode?: 'savepoint' | 'last-state'
  readonly batchSize?: number
  readonly start?: 'TRIM_HORIZON' | 'LATEST'
  readonly failingRecords?: 'fail' | 'dead-letter'
}

/** What of a revision stands in the stack. */
interface Resources {
  readonly given: StackRevision
  readonly plan: DeploymentPlan
  readonly deployed: DeployedRevision
  /** By stage and shard, how many frames the mapping has behind it. */
  readonly frames: Map<string, number>
}

interface Message {
  readonly revision: string
  readonly stage: string
  readonly body: string
  readonly at: number
}

export type DeployOutcome = { readonly status: 'deployed' } | { readonly status: 'rolled-back'; readonly why: string }

const SETTINGS: DeployedRevision['settings'] = {
  ...{ memoryMb: {}, batchingWindowSeconds: {}, controlMemoryMb: 1_024, frameRetentionHours: 168, checkpointMinutes: 1 },
  ...{ fanOut: [], alarms: 0, dashboards: 0, retainedSavepoints: 2 },
}
const ARN = 'arn:aws:lambda:eu-central-1:123456789012:function:'
const CONTROL = `${ARN}control`

/**
 * A stack with a job on the imitations: CloudFormation's part of a deployment, with its roll-back and clean-up, Lambda's mappings, and functions in
 * process. Time stands still but for {@link pump}. Everything is one step after the other, so that a run can be repeated.
 */
export class DeployedStack {
  readonly lambda = new LambdaImitation()
  /** By revision. */
  readonly #resources = new Map<string, Resources>()
  readonly #messages: Message[] = []
  #stack: Resources | undefined
  #requests = 0
  /** Whether a call is made by the control function. */
  controlled = false
  /** How often each question is asked again while it is being answered. */
  repeats = 0
  /** What goes on while CloudFormation waits. */
  meanwhile: () => void = () => {}
  asking: () => Promise<void> = async () => {}
  /** CloudFormation gives up after so many questions. */
  patience = 400
  /** Called between the activation's end and the clean-up; throws when another resource of the stack fails. */
  restOfStack: () => void = () => {}
  /** Called before a deployment that has failed is taken back. */
  rollingBack: () => void = () => {}
  /** What functions have logged. */
  readonly logged: string[] = []

  constructor(
    readonly aws: AwsImitation,
    readonly name: string,
    readonly sourceStream: string,
    shards: number,
  ) {
    aws.createStream(sourceStream, shards)
  }

  get sourceArn(): string {
    return `arn:aws:kinesis:eu-central-1:123456789012:stream/${this.sourceStream}`
  }

  // --- what CloudFormation does ------------------------------------------------------------------------------------------

  async deploy(given: StackRevision): Promise<DeployOutcome> {
    const before = this.#stack
    const to = this.#create(given)
    try {
      await this.#request(before === undefined ? 'Create' : 'Update', to)
      this.restOfStack()
    } catch (error) {
      const why = (error as Error).message
      this.rollingBack()
      if (before === undefined) await this.#request('Delete', to)
      else await this.#request('Update', before)
      this.#cleanUp(to, before)
      return { status: 'rolled-back', why }
    }
    this.#stack = to
    if (before !== undefined) this.#cleanUp(before, to)
    return { status: 'deployed' }
  }

  async delete(): Promise<void> {
    const stack = this.#stack as Resources
    await this.#request('Delete', stack)
    this.#cleanUp(stack, undefined)
    this.#stack = undefined
  }

  #create(given: StackRevision): Resources {
    const { revision, job, parallelism, start = 'TRIM_HORIZON', batchSize = 3 } = given
    const present = this.#resources.get(revision)
    if (present !== undefined)
      return { ...present, given, deployed: { ...present.deployed, sources: withBatchSize(present.deployed.sources, batchSize) } }
    const plan = deploymentPlan(job, { parameters: [], parallelism })
    const control = controlHandler(job, this.#options(given, plan))
    this.lambda.publish(CONTROL, revision, (event) => control(event))
    const sources: Record<string, DeployedRevision['sources'][string]> = {}
    for (const vertex of plan.graph.vertices) {
      const functionArn = `${ARN}${vertex.id}`
      // One instance that stays warm: what is in its memory must not matter to what another revision does.
      let instance: StageHandler | undefined
      this.lambda.publish(functionArn, revision, (event, context) => {
        instance ??= stageHandler(job, this.#options(given, plan, vertex.id))
        return instance(event, context)
      })
      const stream = plan.sourceStreams[vertex.id]
      if (stream === undefined) this.aws.createStream(this.#frames(revision, vertex.id), vertex.parallelism)
      else
        sources[vertex.id] = {
          functionArn,
          version: revision,
          eventSourceArn: this.sourceArn,
          stream,
          batchSize,
          batchingWindowSeconds: 0,
          start,
        }
    }
    const resources = { given, plan, deployed: { revision, control: `${CONTROL}:${revision}`, sources, settings: SETTINGS }, frames: new Map() }
    this.#resources.set(revision, resources)
    return resources
  }

  /** What only the one has; a version that is still held by an alias fails it. */
  #cleanUp(gone: Resources, stays: Resources | undefined): void {
    if (gone.deployed.revision === stays?.deployed.revision) return
    const { revision } = gone.deployed
    this.lambda.deleteVersion(CONTROL, revision)
    for (const { id } of gone.plan.graph.vertices) this.lambda.deleteVersion(`${ARN}${id}`, revision)
    this.#resources.delete(revision)
  }

  /** The provider framework: onEvent, then isComplete until it is. Throws what has failed. */
  async #request(RequestType: ActivationEvent['RequestType'], to: Resources): Promise<void> {
    const event: ActivationEvent = {
      RequestType,
      RequestId: `request-${++this.#requests}`,
      ResourceProperties: {
        deployment: JSON.stringify(to.deployed),
        allowStateLoss: JSON.stringify(to.given.allowStateLoss ?? []),
        upgradeMode: to.given.upgradeMode ?? 'savepoint',
      },
    }
    const begun = await this.#control(to, event)
    for (let questions = 0; questions < this.patience; questions++) {
      const answers = await Promise.all(Array.from({ length: 1 + this.repeats }, () => this.#control(to, { ...event, ...begun } as ActivationEvent)))
      if (answers.some((answer) => 'IsComplete' in answer && answer.IsComplete)) {
        // And once more, when its answer was lost.
        await this.#control(to, { ...event, ...begun } as ActivationEvent)
        return
      }
      this.meanwhile()
      await this.asking()
      for (let seconds = 0; seconds < 5; seconds++) await this.pump()
    }
    throw new Error('Operation timed out')
  }

  async #control(to: Resources, event: ActivationEvent): Promise<ActivationAnswer> {
    return (await this.control(event, to)) as ActivationAnswer
  }

  /** Asks the control function of the stack. */
  async control(event: unknown, of: Resources | undefined = this.#stack): Promise<unknown> {
    this.controlled = true
    try {
      return await this.lambda.call(`${CONTROL}:${(of as Resources).deployed.revision}`, event)
    } finally {
      this.controlled = false
    }
  }

  /** Made by the stack's state machine: its id. */
  async checkpoint(): Promise<number> {
    const begun = (await this.control({ step: 'begin', input: {} })) as { readonly checkpointId: number }
    for (;;) {
      const { status } = (await this.control({ step: 'poll', checkpointId: begun.checkpointId })) as { readonly status: string }
      if (status === 'completed') return begun.checkpointId
      if (status !== 'pending') throw new Error(status)
      await this.pump()
    }
  }

  // --- what goes on all the time -----------------------------------------------------------------------------------------

  /** A second: every mapping delivers once, messages arrive, changes of mappings settle. False: there was nothing to do. */
  async pump(): Promise<boolean> {
    vi.setSystemTime(Date.now() + 1_000)
    this.lambda.settle()
    let busy = await this.#deliverMessages()
    for (const mapping of [...this.lambda.mappings.values()]) if (await this.#deliverSource(mapping)) busy = true
    for (const resources of [...this.#resources.values()]) {
      for (const { id, parallelism } of resources.plan.graph.vertices.filter((vertex) => !hasSource(vertex))) {
        for (let shard = 0; shard < parallelism; shard++) if (await this.#deliverFrames(resources, id, shard)) busy = true
      }
    }
    return busy
  }

  /** Until nothing is left to do. */
  async rest(): Promise<void> {
    for (let quiet = 0, seconds = 0; quiet < 3; seconds++) {
      if (seconds > 2_000) throw new Error('the job does not come to rest')
      quiet = (await this.pump()) ? 0 : quiet + 1
    }
  }

  async #deliverSource(mapping: ImitatedMapping): Promise<boolean> {
    if (!['Enabled', 'Updating'].includes(mapping.state)) return false
    let busy = false
    for (let shard = 0; shard < this.aws.shards(this.sourceStream); shard++) {
      const all = this.aws.shard(this.sourceStream, shard)
      const { start, acknowledged } = mapping
      const first = typeof start === 'number' ? all.findIndex(({ arrivalMs }) => arrivalMs >= start) : 0
      if (!acknowledged.has(shard)) acknowledged.set(shard, first === -1 ? all.length : first)
      const from = acknowledged.get(shard) as number
      const records = all.slice(from, from + mapping.batchSize)
      if (records.length === 0) continue
      busy = true
      const failed = await this.#invoke(mapping.functionArn, this.aws.event(this.sourceStream, shard, records))
      if (!failed) acknowledged.set(shard, from + records.length)
    }
    return busy
  }

  async #deliverFrames({ deployed: { revision }, frames }: Resources, stage: string, shard: number): Promise<boolean> {
    const stream = this.#frames(revision, stage)
    const from = frames.get(`${stage}/${shard}`) ?? 0
    const records = this.aws.shard(stream, shard).slice(from, from + 5)
    if (records.length === 0) return false
    const failed = await this.#invoke(`${ARN}${stage}:${revision}`, this.aws.event(stream, shard, records))
    if (!failed) frames.set(`${stage}/${shard}`, from + records.length)
    return true
  }

  async #invoke(arn: string, event: KinesisEvent): Promise<boolean> {
    try {
      const { batchItemFailures } = (await this.lambda.call(arn, event)) as BatchResponse
      return batchItemFailures.length > 0
    } catch {
      return true
    }
  }

  async #deliverMessages(): Promise<boolean> {
    const now = Date.now()
    const due = this.#messages.filter(({ at }) => at <= now)
    this.#messages.splice(0, this.#messages.length, ...this.#messages.filter(({ at }) => at > now))
    for (const { revision, stage, body } of due) {
      if (!this.#resources.has(revision)) continue
      await this.lambda.call(`${ARN}${stage}:${revision}`, { Records: [message('message', body)] })
    }
    return due.length > 0
  }

  // --- what the functions find around them -------------------------------------------------------------------------------

  #frames(revision: string, stage: string): string {
    return `${this.name}-${revision}-${stage}`
  }

  #options(
    { revision, parallelism, failingRecords = 'fail' }: StackRevision,
    { graph, job, fingerprint, sourceStreams }: DeploymentPlan,
    stage?: string,
  ) {
    const streamOf = (id: string) => (sourceStreams[id] === undefined ? this.#frames(revision, id) : this.sourceStream)
    const receivers = graph.edges.filter(({ from }) => from === stage).map(({ to }) => [to, streamOf(to)])
    const variables = {
      MILLRACE_JOB: job,
      MILLRACE_REVISION: revision,
      MILLRACE_PLAN: fingerprint,
      MILLRACE_PARAMETERS: '[]',
      MILLRACE_PARALLELISM: String(parallelism),
      MILLRACE_TABLE: 'table',
      MILLRACE_BUCKET: 'bucket',
      MILLRACE_FAILING_RECORDS: failingRecords,
      MILLRACE_BINDINGS: JSON.stringify(Object.fromEntries(Object.values(sourceStreams).map((logical) => [logical, this.sourceStream]))),
      MILLRACE_QUEUES: JSON.stringify(Object.fromEntries(graph.vertices.map(({ id }) => [id, `${revision} ${id}`]))),
      ...(stage === undefined
        ? {}
        : { MILLRACE_STAGE: stage, MILLRACE_STREAM: streamOf(stage), MILLRACE_STREAMS: JSON.stringify(Object.fromEntries(receivers)) }),
    }
    const send = async (queue: string, body: string, delaySeconds: number) => {
      const [of, to] = queue.split(' ')
      this.#messages.push({ revision: of, stage: to, body, at: Date.now() + delaySeconds * 1_000 })
    }
    return { variables, send, log: (line: string) => void this.logged.push(line) }
  }
}

function withBatchSize(sources: DeployedRevision['sources'], batchSize: number): DeployedRevision['sources'] {
  return Object.fromEntries(Object.entries(sources).map(([stage, source]) => [stage, { ...source, batchSize }]))
}
