import { type KeyType, keyTypeOf, MillraceError } from '../core/index.js'
import type { CompiledJob } from './job-graph.js'
import type { StreamNode } from './stream-graph.js'

/** Types of keys by operator uid. */
export type KeyTypesByUid = Readonly<Record<string, readonly KeyType[]>>

type Selector = NonNullable<StreamNode['keySelector']> & { readonly keyTypes?: readonly KeyType[] }

/** The types that the job has declared for an operator's keys, sorted; undefined when it has not, for one of its inputs. */
export function keyTypesOf({ keySelector, keySelector2 }: StreamNode): readonly KeyType[] | undefined {
  const selectors = [keySelector, keySelector2].filter((selector) => selector !== undefined) as Selector[]
  if (selectors.length === 0 || selectors.some(({ keyTypes }) => keyTypes === undefined)) return undefined
  return [...new Set(selectors.flatMap(({ keyTypes }) => keyTypes as readonly KeyType[]))].sort()
}

/**
 * The job whose operators refuse keys of types of which they have no state: under such a key nothing would be found of what was kept before. `restored`: the types
 * of the keys that there is state of, for operators that have any. Where the job itself says of which types its keys are, that was compared with the
 * state before.
 */
export function guardKeys(job: CompiledJob, restored: KeyTypesByUid): CompiledJob {
  const nodes = new Map(job.nodes)
  for (const [uid, types] of Object.entries(restored)) {
    const node = nodes.get(uid)
    if (node?.keySelector === undefined || keyTypesOf(node) !== undefined) continue
    const { keySelector, keySelector2 } = node
    nodes.set(uid, { ...node, keySelector: guarded(keySelector, types), keySelector2: keySelector2 && guarded(keySelector2, types) })
  }
  return { ...job, nodes }
}

function guarded(selector: Selector, types: readonly KeyType[]): Selector {
  const [only] = types.length === 1 && types[0] !== 'array' && types[0] !== 'object' ? types : []
  return (value) => {
    const key = selector(value)
    if (typeof key === only) return key
    const type = keyTypeOf(key)
    if (type !== undefined && !types.includes(type)) throw otherType(type, types)
    return key
  }
}

function otherType(type: KeyType, types: readonly KeyType[]): MillraceError {
  return new MillraceError('KEY_TYPE', {
    what: `a key is of type ${type}, and the state that was restored has keys of type ${types.join(', ')}: none of it would be found`,
    todo:
      `Return keys of type ${types.join(', ')} again, or give the operator another uid to begin without this state. ` +
      `If its keys are of several types, say so: keyBy(selector, [${[...types, type].map((one) => `'${one}'`).join(', ')}]).`,
  })
}
