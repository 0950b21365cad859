/** Which part of the output a file holds: what subtask wrote in an epoch (the time between two checkpoints), the n-th file of it. */
export interface PartName {
  readonly subtask: number
  readonly epoch: number
  readonly n: number
}

const TARGET = /^part-(\d+)-(\d+)-(\d+)\.[^.]+$/
const PENDING = /^\.part-(\d+)-(\d+)-(\d+)\.[^.]+\.inprogress$/

/** Deterministic, so that a redo after a failure writes the same names. */
export function targetName({ subtask, epoch, n }: PartName, extension: string): string {
  return `part-${subtask}-${epoch}-${n}.${extension}`
}

export function pendingName(part: PartName, extension: string): string {
  return `.${targetName(part, extension)}.inprogress`
}

/** undefined when the name is not one of ours. */
export function readPartName(name: string): (PartName & { readonly pending: boolean }) | undefined {
  const pending = name.startsWith('.')
  const match = (pending ? PENDING : TARGET).exec(name)
  return match === null ? undefined : { subtask: Number(match[1]), epoch: Number(match[2]), n: Number(match[3]), pending }
}
