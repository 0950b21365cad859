/**
 * Something outside that a source or sink touches. Its name is logical: what it is called where the job runs, a binding says (`--bind` and
 * `run({ bindings })` in one process, `bindings` of the construct on AWS); a name without one is its own physical name.
 */
export interface ExternalResource {
  readonly name: string
  readonly kind: 'stream' | 'table' | 'bucket'
  readonly access: 'read' | 'write'
}

/** Physical names by logical ones. */
export type ResourceBindings = Readonly<Record<string, string>>
