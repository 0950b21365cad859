import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { App, Stack } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import { AttributeType, Table } from 'aws-cdk-lib/aws-dynamodb'
import { Stream } from 'aws-cdk-lib/aws-kinesis'
import { Key } from 'aws-cdk-lib/aws-kms'
import { Bucket } from 'aws-cdk-lib/aws-s3'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { beforeAll, describe, expect, it } from 'vitest'
import { StreamJob, type StreamJobProps } from '../../cdk/index.js'
import { arnOf } from './policy-evaluator.js'
import { FIVE_STAGES, moduleOf } from './stacks.js'

interface Resource {
  readonly Type: string
  readonly Properties: Readonly<Record<string, unknown>>
  readonly DependsOn?: readonly string[]
}
type Resources = Readonly<Record<string, Resource>>
interface PolicyProperties {
  readonly PolicyName: string
  readonly PolicyDocument: { readonly Statement: readonly unknown[] }
  readonly Roles: readonly { readonly Ref: string }[]
}

/** Of all IAM allows to stand in one role, whatever policy it is in; blanks do not count. */
const MOST_CHARACTERS_IN_A_ROLE = 10_240

function deployed(props: (stack: Stack) => Partial<StreamJobProps>): { readonly job: StreamJob; readonly resources: Resources } {
  const stack = new Stack(new App(), 'shop')
  const words = new Stream(stack, 'Words')
  const table = (id: string) => new Table(stack, id, { partitionKey: { name: 'key', type: AttributeType.STRING } })
  const [results] = [table('Results'), table('OtherResults')]
  const job = new StreamJob(stack, 'Job', { entry: FIVE_STAGES, planLock: false, bindings: { words, results }, ...props(stack) })
  return { job, resources: Template.fromStack(stack).toJSON().Resources }
}

/** What roles may do, by the logical id of what says so: policies, and those that stand in roles themselves. */
function statementsById(resources: Resources): ReadonlyMap<string, readonly string[]> {
  const found = Object.entries(resources).flatMap(([id, { Type, Properties }]) => {
    if (Type === 'AWS::IAM::Policy') return [[id, (Properties as unknown as PolicyProperties).PolicyDocument.Statement]] as const
    if (Type !== 'AWS::IAM::Role') return []
    return [[id, ((Properties.Policies ?? []) as PolicyProperties[]).flatMap(({ PolicyDocument }) => PolicyDocument.Statement)]] as const
  })
  return new Map(found.map(([id, statements]) => [id, statements.map((statement) => JSON.stringify(statement))]))
}

/** Statements that CloudFormation takes from what it changes in place: before the activation, when the revision before still runs. */
function takenInPlace(before: Resources, after: Resources): readonly string[] {
  const later = statementsById(after)
  return [...statementsById(before)].flatMap(([id, statements]) => {
    const kept = later.get(id)
    return kept === undefined ? [] : statements.filter((statement) => !kept.includes(statement)).map((statement) => `${id}: ${statement}`)
  })
}

/** All that is made before the resource, and deleted after it. */
function madeBefore(resources: Resources, id: string, found = new Set<string>()): ReadonlySet<string> {
  const { DependsOn = [], Properties } = resources[id]
  const named = [...JSON.stringify(Properties ?? {}).matchAll(/"(?:Ref|Fn::GetAtt)":\[?"(\w+)"/g)].map(([, name]) => name)
  for (const next of [...[DependsOn].flat(), ...named]) {
    if (!(next in resources) || found.has(next)) continue
    found.add(next)
    madeBefore(resources, next, found)
  }
  return found
}

describe('what a revision’s functions may do', { timeout: 300_000 }, () => {
  let first: ReturnType<typeof deployed>

  beforeAll(() => {
    first = deployed(() => ({ parallelism: 1 }))
  }, 300_000)

  const changes: Readonly<Record<string, (stack: Stack) => Partial<StreamJobProps>>> = {
    'another parallelism': () => ({ parallelism: 2 }),
    'another table for the sink': (stack) => ({
      parallelism: 1,
      bindings: { words: stack.node.findChild('Words') as Stream, results: stack.node.findChild('OtherResults') as Table },
    }),
    'a stage that is gone': () => {
      const source = readFileSync(FIVE_STAGES, 'utf8')
      const without = source.replace(/ {4}\.keyBy\(\(\{ key \}\) => key\.length\)\n.*\n.*'by-length'\)\n/, '')
      expect(without).not.toContain("'by-length'")
      return { parallelism: 1, entry: moduleOf(without) }
    },
    'a source that is gone': () => {
      const source = readFileSync(FIVE_STAGES, 'utf8')
      return { parallelism: 1, entry: moduleOf(source.replaceAll("uid('words')", "uid('other-words')")) }
    },
  }
  for (const [what, change] of Object.entries(changes)) {
    it(`is not taken from them while they are being stopped: ${what}`, () => {
      const second = deployed(change)
      expect(second.job.revision).not.toBe(first.job.revision)
      expect(takenInPlace(first.resources, second.resources)).toEqual([])
      // Nor from the newer ones on the way back, when all of it had come to its end.
      expect(takenInPlace(second.resources, first.resources)).toEqual([])
    })
  }

  it('has a name of its own, so that two stand side by side', () => {
    const second = deployed(() => ({ parallelism: 2 }))
    const names = (resources: Resources) =>
      Object.values(resources)
        .filter(({ Type }) => Type === 'AWS::IAM::Policy')
        .map(({ Properties }) => (Properties as unknown as PolicyProperties).PolicyName)
    const ofRevision = (found: ReturnType<typeof deployed>) => names(found.resources).filter((name) => name.includes(found.job.revision))
    // One of each function, and one of the activation.
    expect(ofRevision(first)).toHaveLength(5 + 1 + 1)
    expect(names(second.resources).filter((name) => ofRevision(first).includes(name))).toEqual([])
  })

  it('is there before versions, mappings and the activation', () => {
    const { resources, job } = first
    const policies = Object.entries(resources).filter(([id, { Type }]) => Type === 'AWS::IAM::Policy' && id.includes(job.revision))
    const rolesOf = (id: string) => (resources[id].Properties as unknown as PolicyProperties).Roles.map(({ Ref }) => Ref)
    const of = (type: string) => Object.keys(resources).filter((id) => resources[id].Type === type)
    const [activation] = of('Custom::MillraceActivation')
    expect(policies.filter(([id]) => !madeBefore(resources, activation).has(id))).toEqual([])
    const later = [...of('AWS::Lambda::Version'), ...of('AWS::Lambda::EventSourceMapping')]
    expect(later).toHaveLength(6 + 9)
    for (const id of later) {
      const earlier = madeBefore(resources, id)
      const roles = [...earlier].filter((one) => resources[one].Type === 'AWS::IAM::Role')
      const needed = policies
        .map(([policy]) => policy)
        .filter((policy) => !policy.includes('Activation') && rolesOf(policy).some((role) => roles.includes(role)))
      expect(needed).toHaveLength(1)
      expect(earlier).toContain(needed[0])
    }
  })

  it('holds the secret’s key, whose own policy forgets the role when the secret is gone', () => {
    const { resources, job } = deployed((stack) => ({
      secrets: { TOKEN: new Secret(stack, 'Token', { encryptionKey: new Key(stack, 'Key') }) },
    }))
    const ofStages = Object.entries(resources).filter(([id, { Type }]) => Type === 'AWS::IAM::Policy' && id.includes(`Access${job.revision}`))
    const decrypting = ofStages.filter(([, { Properties }]) => JSON.stringify(Properties).includes('"kms:Decrypt"'))
    // All but the activation's.
    expect(decrypting).toHaveLength(ofStages.length - 1)
  })

  it('fits into a role twice: of a stage with five sinks and four receivers, and of a control function with twenty stages', () => {
    const stack = new Stack(new App(), 'orders-of-all-shops-in-production')
    const table = (id: string) => new Table(stack, id, { partitionKey: { name: 'key', type: AttributeType.STRING } })
    const tables = ['customersTable', 'ordersTable', 'othersTable']
    const streams = ['incomingOrders', 'invoicesStream', 'shipmentsStream']
    const job = new StreamJob(stack, 'OrdersByCustomer', {
      entry: fileURLToPath(new URL('./jobs/many-ways-out.ts', import.meta.url)),
      planLock: false,
      bindings: {
        ...Object.fromEntries(tables.map((name) => [name, table(name)])),
        ...Object.fromEntries(streams.map((name) => [name, new Stream(stack, name)])),
        archiveBucket: new Bucket(stack, 'archiveBucket'),
      },
      encryptionKey: new Key(stack, 'Key'),
      tracing: true,
    })
    expect(job.stages.size).toBe(20)
    const hub = job.stages.get('orders-by-customer')
    expect(job.plan.resources['orders-by-customer']).toHaveLength(5)
    expect(job.plan.graph.edges.filter(({ from }) => from === hub?.plan.id)).toHaveLength(4)
    const { Resources: resources } = Template.fromStack(stack).toJSON() as { Resources: Resources }
    const sizes = new Map<string, { twice: number; once: number }>()
    for (const [id, { Type, Properties }] of Object.entries(resources)) {
      if (Type !== 'AWS::IAM::Policy') continue
      const { PolicyDocument, Roles } = Properties as unknown as PolicyProperties
      const size = sizeInFull(PolicyDocument, resources)
      const { twice, once } = sizes.get(Roles[0].Ref) ?? { twice: 0, once: 0 }
      sizes.set(Roles[0].Ref, id.includes(job.revision) ? { twice: twice + size, once } : { twice, once: once + size })
    }
    const all = [...sizes.values()].map(({ twice, once }) => 2 * twice + once)
    console.log(`the policies of a role with two revisions: ${all.join(', ')} characters at most ${MOST_CHARACTERS_IN_A_ROLE}`)
    expect(Math.max(...all)).toBeGreaterThan(4_000)
    expect(Math.max(...all)).toBeLessThan(MOST_CHARACTERS_IN_A_ROLE)
  })
})

/** As IAM counts it when all names are known: in a region with a long name, and with names as long as CloudFormation makes them. */
function sizeInFull(document: object, resources: Resources): number {
  const written = JSON.stringify(document, (_, value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
    return ['Ref', 'Fn::GetAtt', 'Fn::Join'].some((name) => name in value) ? inFull(arnOf(value), resources) : value
  })
  return written.replaceAll(/\s/g, '').length
}

function inFull(arn: string, resources: Resources): string {
  const service: Readonly<Record<string, string>> = {
    'AWS::DynamoDB::Table': 'dynamodb:ap-southeast-2:123456789012:table/',
    'AWS::Kinesis::Stream': 'kinesis:ap-southeast-2:123456789012:stream/',
    'AWS::SQS::Queue': 'sqs:ap-southeast-2:123456789012:',
    'AWS::Lambda::Function': 'lambda:ap-southeast-2:123456789012:function:',
    'AWS::S3::Bucket': 's3:::',
    'AWS::KMS::Key': 'kms:ap-southeast-2:123456789012:key/12345678-1234-1234-1234-123456789012',
    'AWS::Logs::LogGroup': 'logs:ap-southeast-2:123456789012:log-group:',
    'AWS::StepFunctions::StateMachine': 'states:ap-southeast-2:123456789012:stateMachine:',
  }
  const longest: Readonly<Record<string, number>> = { 'AWS::Lambda::Function': 64, 'AWS::S3::Bucket': 63, 'AWS::SQS::Queue': 80, 'AWS::KMS::Key': 0 }
  return arn.replaceAll(/<([\w:]+)(?:\.Arn)?>/g, (_, id: string) => {
    if (!(id in resources)) return { 'AWS::Partition': 'aws', 'AWS::Region': 'ap-southeast-2', 'AWS::AccountId': '123456789012' }[id] ?? id
    const { Type } = resources[id]
    const name = `orders-of-all-shops-in-production-${id}-123456789012`.slice(0, longest[Type] ?? 128)
    if (service[Type] === undefined) throw new Error(`no ARN is known of ${Type}`)
    return `arn:aws:${service[Type]}${name}`
  })
}
