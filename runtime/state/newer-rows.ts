import type { InternalKey } from './keys.js'
import { namespaceId } from './merged-rows.js'

/**
 * Rows of which a segment that was read before, but written later, says all. What older segments say of them need not be looked at: of many commits
 * that change the same rows again and again little is left.
 */
export class NewerRows {
  readonly #states = new Map<string, Map<string, Set<InternalKey>>>()

  /** Those of one state, for a segment with these namespaces. */
  of(state: string, namespaces: readonly unknown[]): NewerRowsOfState {
    let byNamespace = this.#states.get(state)
    if (byNamespace === undefined) {
      byNamespace = new Map()
      this.#states.set(state, byNamespace)
    }
    return new NewerRowsOfState(byNamespace, namespaces)
  }
}

/** Namespaces are numbers here, by which a segment names them. */
export class NewerRowsOfState {
  readonly #keys: (Set<InternalKey> | undefined)[] = []

  constructor(
    readonly byNamespace: Map<string, Set<InternalKey>>,
    readonly namespaces: readonly unknown[],
  ) {}

  has(key: InternalKey, namespace: number): boolean {
    return this.#of(namespace).has(key)
  }

  /** This segment says all of the row. False when a newer one has said so. */
  add(key: InternalKey, namespace: number): boolean {
    const keys = this.#of(namespace)
    const { size } = keys
    keys.add(key)
    return keys.size > size
  }

  #of(namespace: number): Set<InternalKey> {
    let keys = this.#keys[namespace]
    if (keys !== undefined) return keys
    const id = namespaceId(this.namespaces[namespace])
    keys = this.byNamespace.get(id)
    if (keys === undefined) {
      keys = new Set()
      this.byNamespace.set(id, keys)
    }
    this.#keys[namespace] = keys
    return keys
  }
}
