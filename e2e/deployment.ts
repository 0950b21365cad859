import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { DeleteStackCommand } from '@aws-sdk/client-cloudformation'
import { type AttributeValue, DeleteItemCommand, ScanCommand, type ScanCommandOutput } from '@aws-sdk/client-dynamodb'
import { PutRecordsCommand } from '@aws-sdk/client-kinesis'
import { ListEventSourceMappingsCommand, UpdateEventSourceMappingCommand } from '@aws-sdk/client-lambda'
import { DescribeExecutionCommand, StartExecutionCommand } from '@aws-sdk/client-sfn'
import type { JobStatusAnswer } from '../functions/control-status.js'
import { listShards } from '../runtime/backends/aws/kinesis-shards.js'
import { LAST_WORD, LAST_WORD_MS, windowText } from './access-log.js'
import type { DeployedExample } from './app.js'
import type { Cloud } from './cloud.js'

const ARRIVAL_MS = 5 * 60_000
const LONGEST_REQUEST = 500
const PORTION_MS = 500

interface Outputs {
  readonly AccessLogStream: string
  readonly CountsTable: string
  readonly StateTable: string
  readonly StateBucket: string
  readonly CheckpointMachine: string
}

/** The ip-count example in a stack of its own, with the stream it reads and the table it writes. */
export class Deployment {
  #example: DeployedExample
  #outputs: Outputs | undefined
  #put = 0

  constructor(
    readonly cloud: Cloud,
    stack: string,
  ) {
    this.#example = { stack, entry: join('examples', 'ip-count', 'job.ts'), parallelism: 2, shards: 2, fails: false }
  }

  get stack(): string {
    return this.#example.stack
  }

  get outputs(): Outputs {
    if (this.#outputs === undefined) throw new Error(`${this.stack} is not deployed`)
    return this.#outputs
  }

  /** Deploys it, or what has changed. One that fails leaves it as it was. */
  async deploy(changes: Partial<DeployedExample> = {}): Promise<void> {
    const example = { ...this.#example, ...changes }
    const file = join(this.cloud.folder, `${this.stack}.json`)
    const args = ['deploy', '--app', 'node dist/e2e/app.js', '--output', join(this.cloud.folder, `${this.stack}.out`)]
    const quick = ['--require-approval', 'never', '--method', 'direct', '--progress', 'events', '--outputs-file', file]
    const env = { MILLRACE_E2E: JSON.stringify(example) }
    await this.cloud.run('cdk', [...args, ...quick], { env, fails: example.fails })
    if (example.fails) return
    this.#example = example
    this.#outputs = JSON.parse(readFileSync(file, 'utf8'))[this.stack] as Outputs
  }

  /** Removes the stack, so that it takes no more of the machine. */
  async destroy(): Promise<void> {
    const app = ['--app', 'node dist/e2e/app.js', '--output', join(this.cloud.folder, `${this.stack}.out`)]
    await this.cloud.run('cdk', ['destroy', '--force', ...app], { env: { MILLRACE_E2E: JSON.stringify(this.#example) } })
  }

  /** Begins to remove the stack, so that it takes no more of the machine. */
  async discard(): Promise<void> {
    await this.cloud.clients().cloudFormation.send(new DeleteStackCommand({ StackName: this.stack }))
  }

  /** Runs `millrace` on it. What it answers as JSON. */
  async millrace<T>(command: string, ...words: readonly string[]): Promise<T> {
    return JSON.parse(await this.cloud.run('millrace', [command, ...words, '--stack', this.stack, '--json'])) as T
  }

  /** Puts lines into the stream, each shard's in their order, the shards' in turns. */
  async put(lines: readonly string[]): Promise<void> {
    const { kinesis } = this.cloud.clients()
    const shards = await this.#shardKeys()
    for (let from = 0; from < lines.length; from += LONGEST_REQUEST) {
      const Records = lines.slice(from, from + LONGEST_REQUEST).map((line) => ({
        Data: new TextEncoder().encode(line),
        PartitionKey: 'line',
        ExplicitHashKey: shards[this.#put++ % shards.length],
      }))
      const { FailedRecordCount } = await kinesis.send(new PutRecordsCommand({ StreamName: this.outputs.AccessLogStream, Records }))
      if (FailedRecordCount !== 0) throw new Error(`${FailedRecordCount} records were refused`)
    }
  }

  /** Puts lines in small portions within about `ms`. */
  async trickle(lines: readonly string[], ms: number): Promise<void> {
    const portions = Math.max(1, Math.floor(ms / PORTION_MS))
    const size = Math.ceil(lines.length / portions)
    for (let from = 0; from < lines.length; from += size) {
      await this.put(lines.slice(from, from + size))
      await pause(PORTION_MS)
    }
  }

  /** Lets all windows fire. */
  async putLastWords(): Promise<void> {
    const { length } = await this.#shardKeys()
    await this.put(Array.from({ length }, () => LAST_WORD))
  }

  /** A hash key in each shard. */
  async #shardKeys(): Promise<readonly string[]> {
    const { kinesis } = this.cloud.clients()
    const shards = await listShards(this.outputs.AccessLogStream, (command) => kinesis.send(command))
    return shards.map(({ HashKeyRange }) => HashKeyRange?.StartingHashKey as string)
  }

  /** The windows in the table, sorted. */
  async windows(): Promise<readonly string[]> {
    const windows: string[] = []
    for (const { ip, start, end, count } of await this.#items()) {
      if (Number(start.N) >= LAST_WORD_MS) continue
      windows.push(windowText({ ip: ip.S as string, start: Number(start.N), end: Number(end.N), count: Number(count.N) }))
    }
    return windows.sort()
  }

  /** Empties the table. */
  async clear(): Promise<void> {
    const { tables } = this.cloud.clients()
    const Keys = (await this.#items()).map(({ ip, start }) => ({ ip, start }))
    for (const Key of Keys) await tables.send(new DeleteItemCommand({ TableName: this.outputs.CountsTable, Key }))
  }

  async #items(): Promise<readonly Record<string, AttributeValue>[]> {
    const { tables } = this.cloud.clients()
    const items: Record<string, AttributeValue>[] = []
    let ExclusiveStartKey: Record<string, AttributeValue> | undefined
    do {
      const answer: ScanCommandOutput = await tables.send(
        new ScanCommand({ TableName: this.outputs.CountsTable, ConsistentRead: true, ExclusiveStartKey }),
      )
      items.push(...(answer.Items ?? []))
      ExclusiveStartKey = answer.LastEvaluatedKey
    } while (ExclusiveStartKey !== undefined)
    return items
  }

  /** Waits until as many windows are in the table; rejects when that takes too long. */
  async arrived(count: number): Promise<void> {
    const deadline = Date.now() + ARRIVAL_MS
    for (;;) {
      const { length } = await this.windows()
      if (length >= count) return
      if (Date.now() > deadline) throw new Error(`only ${length} of ${count} windows have arrived`)
      await pause(500)
    }
  }

  /** Waits until exactly these windows are in the table; rejects with how they differ when that takes too long. */
  async expect(expected: readonly string[]): Promise<void> {
    await this.arrived(expected.length)
    const windows = await this.windows()
    const missing = difference(expected, windows)
    const surplus = difference(windows, expected)
    if (missing.length + surplus.length === 0) return
    const first = (some: readonly string[]) => some.slice(0, 5).join('; ')
    throw new Error(`windows differ: ${missing.length} missing (${first(missing)}), ${surplus.length} too many (${first(surplus)})`)
  }

  async status(): Promise<JobStatusAnswer> {
    return this.millrace('status')
  }

  /** Lets the mappings of its streams halve a batch that fails, as somebody may set them. How many they are. */
  async halveFailingBatches(): Promise<number> {
    const { lambda } = this.cloud.clients()
    const { EventSourceMappings = [] } = await lambda.send(new ListEventSourceMappingsCommand({ MaxItems: 1_000 }))
    const ofStreams = EventSourceMappings.filter(
      (mapping) => mapping.EventSourceArn?.includes(':kinesis:') && mapping.FunctionArn?.includes(this.stack),
    )
    for (const { UUID } of ofStreams) await lambda.send(new UpdateEventSourceMappingCommand({ UUID, BisectBatchOnFunctionError: true }))
    return ofStreams.length
  }

  /** How many subtasks the stage has. */
  async subtasksOf(stage: string): Promise<number | undefined> {
    return (await this.status()).stages.find((one) => one.stage === stage)?.subtasks.length
  }

  /** A checkpoint by the state machine, as the schedule makes them; its id. Others, of the schedule, may come behind it at any time. */
  async checkpoint(): Promise<number> {
    const { stepFunctions } = this.cloud.clients()
    const { executionArn } = await stepFunctions.send(new StartExecutionCommand({ stateMachineArn: this.outputs.CheckpointMachine, input: '{}' }))
    for (;;) {
      const { status, cause, error, output } = await stepFunctions.send(new DescribeExecutionCommand({ executionArn }))
      if (status === 'SUCCEEDED') return (JSON.parse(output as string) as { checkpointId: number }).checkpointId
      if (status !== 'RUNNING') throw new Error(`the state machine ended: ${status} ${error ?? ''} ${cause ?? ''}`)
      await pause(200)
    }
  }
}

function difference(windows: readonly string[], others: readonly string[]): readonly string[] {
  const known = new Set(others)
  return windows.filter((window) => !known.has(window))
}
