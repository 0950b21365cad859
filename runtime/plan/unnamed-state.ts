import type { JobGraph, OperatorPlan } from './job-graph.js'

/** Operators without a key that have state of their own. */
const STATEFUL_KINDS: ReadonlySet<string> = new Set(['window-all', 'broadcast-process'])

/**
 * Operators with state that the job gave no uid: a made-up one changes with the operator's place in the graph, and then a changed job does not find
 * the state it had. Sources and sinks are among them when several have one name, which would else be their uid.
 */
export function unnamedState({ vertices }: JobGraph): readonly OperatorPlan[] {
  return vertices.flatMap(({ operators }) => operators.filter(isUnnamed))
}

function isUnnamed({ uidGiven, isSource, isSink, keyed, kind }: OperatorPlan): boolean {
  return !uidGiven && (isSource || isSink || keyed || STATEFUL_KINDS.has(kind))
}

/** A uid that its name suggests. */
export function suggestedUid({ name }: OperatorPlan): string {
  return name
    .replace(/\(.*$/, '')
    .replace(/[^A-Za-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .toLowerCase()
}
