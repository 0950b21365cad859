import { MillraceError } from '../core/index.js'

/** The operator that a record is on its way to. */
export interface KeyedOperatorPlace {
  readonly uid: string
  readonly name: string
}

const PLACE = 'the key of operator'

/** What a key selector threw, or what it returned that is no key, with the operator whose key it is. */
export function keyError(thrown: unknown, operator: KeyedOperatorPlace): MillraceError {
  const where = `${PLACE} "${operator.name}" (uid ${operator.uid})`
  if (thrown instanceof MillraceError) return new MillraceError(thrown.code, { ...thrown.detail, where, uid: operator.uid })
  return new MillraceError('USER_FUNCTION', {
    what: 'the key selector of keyBy threw',
    where,
    todo: 'Make keyBy return a key for every record, or filter out those without one before.',
    uid: operator.uid,
    cause: thrown,
  })
}

/** Whether the error is one of {@link keyError}: the record has no key. */
export function isKeyError(error: unknown): boolean {
  return error instanceof MillraceError && error.detail.where?.startsWith(PLACE) === true
}

/** Whether the key is one of another type than those that there is state of. */
export function isKeyTypeError(error: unknown): boolean {
  return error instanceof MillraceError && error.code === 'KEY_TYPE'
}
