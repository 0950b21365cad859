/** A keyed state as an operator declares it when it opens. Plain data. */
export interface DeclaredState {
  readonly name: string
  /** `value`, `list`, `map` … */
  readonly kind: string
  /** id and version of its serde, or `structural`; of a map those of its keys and its values. */
  readonly serde: string
  /** Whether it has a time to live. */
  readonly ttl: boolean
}

/** What the keyed operators of a job declare, by uid. An operator of which it is not known is not among them. */
export type DeclaredStates = Readonly<Record<string, readonly DeclaredState[]>>

/** What is wrong with the states that an operator now declares, given those that it had. A time to live may come and go, and so may versions of serdes. */
export function changedStates(before: readonly DeclaredState[], after: readonly DeclaredState[]): readonly StateChange[] {
  return before.flatMap((old): StateChange[] => {
    const now = after.find(({ name }) => name === old.name)
    if (now === undefined)
      return [{ kind: 'gone', name: old.name, reason: `the ${old.kind} state "${old.name}" is gone, and what it holds would be lost` }]
    const changed = (what: string) => [{ kind: 'changed' as const, name: old.name, reason: `the state "${old.name}" ${what}` }]
    if (now.kind !== old.kind) return changed(`was ${old.kind} state and is ${now.kind} state`)
    if (withoutVersion(now.serde) !== withoutVersion(old.serde)) return changed(`was written with the serde ${old.serde} and has ${now.serde}`)
    return []
  })
}

export interface StateChange {
  readonly kind: 'gone' | 'changed'
  readonly name: string
  readonly reason: string
}

function withoutVersion(serde: string): string {
  return serde.replace(/\/\d+(?=,|$)/g, '')
}
