import type { ITable } from 'aws-cdk-lib/aws-dynamodb'
import type { IStream } from 'aws-cdk-lib/aws-kinesis'
import type { IBucket } from 'aws-cdk-lib/aws-s3'
import type { DeploymentPlan } from '../functions/deployment-plan.js'
import type { ExternalResource } from '../runtime/core/index.js'
import { invalid } from './check-props.js'
import type { JobBinding } from './stream-job-props.js'

type Kind = ExternalResource['kind']

/** What the job's logical names stand for; checked against what its stages touch. */
export class JobBindings {
  /** Throws OPTION_INVALID for a name that is not bound, is bound to something else, or is bound and not used. `path` is the construct's. */
  constructor(
    readonly path: string,
    readonly plan: DeploymentPlan,
    readonly given: Readonly<Record<string, JobBinding>>,
  ) {
    const used = new Set<string>()
    for (const { id } of plan.graph.vertices) {
      for (const resource of this.#resources(id)) {
        this.#check(id, resource)
        used.add(resource.name)
      }
    }
    const unused = Object.keys(given).find((name) => !used.has(name))
    if (unused === undefined) return
    const names = used.size === 0 ? 'it reads and writes nothing outside' : `what it reads and writes is named ${[...used].join(', ')}`
    throw invalid(path, `bindings has "${unused}", which job "${plan.job}" does not use`, `Remove it, or mend its name: ${names}.`)
  }

  /** Physical names by logical ones, known when the stack is deployed. */
  get names(): readonly (readonly [string, string])[] {
    return Object.entries(this.given).map(([name, bound]) => [name, nameOf(bound)])
  }

  /** What a stage reads or writes. */
  of(stage: string): readonly { readonly access: ExternalResource['access']; readonly bound: JobBinding }[] {
    return this.#resources(stage).map(({ name, access }) => ({ access, bound: this.given[name] }))
  }

  /** The stream that feeds the stage from outside, if one does. */
  sourceStream(stage: string): IStream | undefined {
    const name = this.plan.sourceStreams[stage]
    return name === undefined ? undefined : (this.given[name] as IStream)
  }

  /** The stream of a source counts also if the source does not list it. */
  #resources(stage: string): readonly ExternalResource[] {
    const listed = this.plan.resources[stage] ?? []
    const stream = this.plan.sourceStreams[stage]
    if (stream === undefined || listed.some(({ name }) => name === stream)) return listed
    return [...listed, { name: stream, kind: 'stream', access: 'read' }]
  }

  #check(stage: string, { name, kind, access }: ExternalResource): void {
    const bound = this.given[name]
    if (bound === undefined) {
      const what = `job "${this.plan.job}" ${access === 'read' ? 'reads' : 'writes'} the ${kind} "${name}" in stage "${stage}", and nothing is bound to it`
      throw invalid(this.path, what, `Say which it is: bindings: { ${property(name)}: ${EXAMPLES[kind]} }.`)
    }
    const found = kindOf(bound)
    if (found === kind) return
    const what = `job "${this.plan.job}" ${access === 'read' ? 'reads' : 'writes'} the ${kind} "${name}" in stage "${stage}", and ${found === undefined ? 'something else' : `a ${found}`} is bound to it`
    throw invalid(this.path, what, `Bind a ${kind}: bindings: { ${property(name)}: ${EXAMPLES[kind]} }.`)
  }
}

const EXAMPLES: Readonly<Record<Kind, string>> = {
  stream: "new Stream(this, 'Stream')",
  table: "new Table(this, 'Table', …)",
  bucket: "new Bucket(this, 'Bucket')",
}

export function isStream(bound: JobBinding): bound is IStream {
  return kindOf(bound) === 'stream'
}

export function isTable(bound: JobBinding): bound is ITable {
  return kindOf(bound) === 'table'
}

export function isBucket(bound: JobBinding): bound is IBucket {
  return kindOf(bound) === 'bucket'
}

/** By shape: the app may have another copy of aws-cdk-lib than this construct. */
function kindOf(bound: JobBinding): Kind | undefined {
  if (typeof bound !== 'object' || bound === null) return undefined
  if ('streamArn' in bound && 'streamName' in bound) return 'stream'
  if ('tableArn' in bound && 'tableName' in bound) return 'table'
  if ('bucketArn' in bound && 'bucketName' in bound) return 'bucket'
  return undefined
}

function nameOf(bound: JobBinding): string {
  if (isStream(bound)) return bound.streamName
  return isTable(bound) ? bound.tableName : bound.bucketName
}

function property(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : `'${name}'`
}
