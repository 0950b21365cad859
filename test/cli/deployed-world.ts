import { CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation'
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda'
import { mockClient } from 'aws-sdk-client-mock'
import { vi } from 'vitest'
import { controlHandler } from '../../functions/control-handler.js'
import type { Job } from '../../runtime/index.js'
import { Deployed } from '../aws/deployed.js'
import { AwsImitation } from '../aws/imitation.js'
import { WrittenOutput } from './written-output.js'

interface Output {
  readonly OutputKey: string
  readonly OutputValue: string
  readonly ExportName?: string
  readonly Description?: string
}

/** What a world's clock shows at first; it goes on by `vi.setSystemTime` alone. */
export const NOW = Date.parse('2026-03-01T12:00:00.000Z')

/**
 * A job deployed on the imitation of AWS, with a CloudFormation and a Lambda that runs its control function, behind the SDK's clients; and what
 * commands write. The date is the world's own until its end.
 */
export class DeployedWorld {
  readonly aws = new AwsImitation()
  readonly stacks = new Map<string, readonly Output[]>([['shop', [{ OutputKey: 'tallyControl1A2B3C4D', OutputValue: 'shop-control' }]]])
  /** Names of the functions that were called, with the requests. */
  readonly invoked: { readonly name: string; readonly request: Record<string, unknown> }[] = []
  /** Runs before each call of the control function; may throw as Lambda or the function would. */
  onInvoke: ((request: Record<string, unknown>) => void | Promise<void>) | undefined
  /** What the control function answers in place of its own answer, by command. */
  readonly answers = new Map<string, (request: Record<string, unknown>) => unknown>()
  deployed!: Deployed
  readonly output = new WrittenOutput()
  readonly #cloudFormation = mockClient(CloudFormationClient)
  readonly #lambda = mockClient(LambdaClient)

  private constructor() {
    this.#cloudFormation.on(DescribeStacksCommand).callsFake(({ StackName }) => {
      const Outputs = this.stacks.get(StackName)
      if (Outputs !== undefined) return { Stacks: [{ Outputs }] }
      throw Object.assign(new Error(`Stack with id ${StackName} does not exist`), { name: 'ValidationError' })
    })
    this.#lambda.on(InvokeCommand).callsFake(({ FunctionName, Payload }) => this.#invoke(FunctionName, Payload))
  }

  static async of(job: Job, parallelism = 1): Promise<DeployedWorld> {
    vi.useFakeTimers({ toFake: ['Date'], now: NOW })
    const world = new DeployedWorld()
    world.deployed = await Deployed.active(world.aws, job, [], parallelism)
    return world
  }

  /** Puts lines into a shard of the stream that the job reads, and lets its functions run until there is nothing more to do. */
  async produce(shard: number, ...lines: string[]): Promise<void> {
    this.aws.produce(this.deployed.stream('words'), shard, lines)
    await this.deployed.run(10)
  }

  /** Batches and messages arrive whenever a command waits. */
  goOnMeanwhile(): void {
    this.onInvoke = async ({ command }) => {
      if (command === 'progress') await this.deployed.run(10)
    }
  }

  async #invoke(name: string, payload: Uint8Array): Promise<object> {
    if (name !== 'shop-control') throw Object.assign(new Error(`Function not found: ${name}`), { name: 'ResourceNotFoundException' })
    const request = JSON.parse(new TextDecoder().decode(payload)) as Record<string, unknown>
    this.invoked.push({ name, request })
    const answer = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
    await this.onInvoke?.(request)
    const scripted = this.answers.get(String(request.command))
    if (scripted !== undefined) return { Payload: answer(scripted(request)) }
    try {
      return { Payload: answer(await controlHandler(this.deployed.job, this.deployed.options())(request)) }
    } catch (thrown) {
      const { name: errorType, message: errorMessage } = thrown as Error
      return { FunctionError: 'Unhandled', Payload: answer({ errorType, errorMessage }) }
    }
  }

  /** What was written to stdout since the last call. */
  said(): string {
    return this.output.said()
  }

  json<T = Record<string, unknown>>(): T {
    return this.output.json<T>()
  }

  end(): void {
    this.output.end()
    this.#cloudFormation.restore()
    this.#lambda.restore()
    this.aws.restore()
    vi.useRealTimers()
  }
}
