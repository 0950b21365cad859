/** Why a parsed manifest with a right checksum is still none, or undefined. State values are base64 text at this point. */
export function manifestFault(value: unknown): string | undefined {
  const m = value as Record<string, unknown>
  if (!isRecord(value)) return 'it is not an object'
  if (m.format !== 1 && m.format !== 2) return `format is ${String(m.format)}`
  if (typeof m.job !== 'string') return 'job is not a text'
  if (!isCount(m.checkpointId)) return 'checkpointId is not a whole number'
  if (m.kind !== 'checkpoint' && m.kind !== 'savepoint') return `kind is ${String(m.kind)}`
  if (typeof m.createdAtMs !== 'number') return 'createdAtMs is not a number'
  if (!isCount(m.attempt)) return 'attempt is not a whole number'
  return firstFault(m.operators, 'operators', operatorFault)
}

function operatorFault(value: unknown, path: string): string | undefined {
  const operator = value as Record<string, unknown>
  if (!isRecord(value) || typeof operator.uid !== 'string' || typeof operator.name !== 'string') return `${path} is not an operator`
  if (!isCount(operator.parallelism) || !isCount(operator.maxParallelism)) return `${path} has no parallelism`
  if (operator.coordinatorState !== undefined && typeof operator.coordinatorState !== 'string') return `${path}.coordinatorState is not a text`
  return firstFault(operator.subtasks, `${path}.subtasks`, subtaskFault)
}

function subtaskFault(value: unknown, path: string): string | undefined {
  const subtask = value as Record<string, unknown>
  if (!isRecord(value) || !isCount(subtask.subtask)) return `${path} is not a subtask`
  if (subtask.ended !== undefined && subtask.ended !== true) return `${path}.ended is ${String(subtask.ended)}`
  return (
    firstFault(subtask.keyed, `${path}.keyed`, segmentFault) ??
    firstFault(subtask.operatorState, `${path}.operatorState`, (state, at) => (typeof state === 'string' ? undefined : `${at} is not a text`))
  )
}

function segmentFault(value: unknown, path: string): string | undefined {
  const ref = value as Record<string, unknown>
  if (!isRecord(value) || typeof ref.name !== 'string' || !isCount(ref.bytes) || !isCount(ref.crc32)) return `${path} is not a segment`
  if (ref.inline !== undefined && typeof ref.inline !== 'string') return `${path}.inline is not a text`
  const keyGroups = ref.keyGroups as Record<string, unknown> | undefined
  if (keyGroups !== undefined && !(isRecord(keyGroups) && isCount(keyGroups.first) && isCount(keyGroups.last))) return `${path}.keyGroups is no range`
  return undefined
}

function firstFault(list: unknown, path: string, faultOf: (value: unknown, path: string) => string | undefined): string | undefined {
  if (!Array.isArray(list)) return `${path} is not a list`
  for (let i = 0; i < list.length; i++) {
    const fault = faultOf(list[i], `${path}[${i}]`)
    if (fault !== undefined) return fault
  }
  return undefined
}

function isRecord(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
