import { MillraceError } from '../core/index.js'
import type { OperatorContext } from './stream-operator.js'

/** What a function of the job threw, with the operator it was thrown in. */
export function userError(thrown: unknown, context: OperatorContext, doing: string): MillraceError {
  if (thrown instanceof MillraceError) {
    if (thrown.uid !== undefined) return thrown
    return new MillraceError(thrown.code, { ...thrown.detail, where: placeOf(context, thrown.detail.where), uid: context.uid })
  }
  return new MillraceError('USER_FUNCTION', {
    what: `${doing} threw`,
    where: placeOf(context),
    todo: 'Handle this input in the function, or filter it out before.',
    uid: context.uid,
    cause: thrown,
  })
}

function placeOf(context: OperatorContext, inner?: string): string {
  const operator = `operator "${context.name}" (uid ${context.uid}), subtask ${context.subtaskIndex + 1} of ${context.parallelism}`
  return inner === undefined ? operator : `${operator}: ${inner}`
}
