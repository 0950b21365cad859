import type { Template } from 'aws-cdk-lib/assertions'

interface Statement {
  readonly Effect: 'Allow' | 'Deny'
  readonly Action: string | readonly string[]
  readonly Resource: unknown
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

export interface Request {
  readonly action: string
  /** As {@link arnOf} writes it, and what stands behind: `<Bucket.Arn>/log/x`. */
  readonly resource: string
  /** Condition keys, such as `dynamodb:LeadingKeys`. */
  readonly context?: Readonly<Record<string, readonly string[]>>
}

/** What the policies of a template let a role do: IAM's rules as far as the construct uses them. Whatever it does not know throws. */
export class PolicyEvaluator {
  readonly #byRole = new Map<string, Statement[]>()

  constructor(template: Template) {
    for (const { Properties } of Object.values(template.findResources('AWS::IAM::Policy'))) {
      for (const role of Properties.Roles) {
        const statements = this.#byRole.get(arnOf(role)) ?? []
        this.#byRole.set(arnOf(role), [...statements, ...Properties.PolicyDocument.Statement])
      }
    }
    for (const [id, { Properties }] of Object.entries(template.findResources('AWS::IAM::Role'))) {
      const inline = (Properties.Policies ?? []).flatMap((policy: { PolicyDocument: { Statement: Statement[] } }) => policy.PolicyDocument.Statement)
      const role = `<${id}>`
      this.#byRole.set(role, [...(this.#byRole.get(role) ?? []), ...inline])
    }
  }

  /** `role`: its logical id. */
  statements(role: string): readonly Statement[] {
    const statements = this.#byRole.get(`<${role}>`)
    if (statements === undefined) throw new Error(`no role ${role}`)
    return statements
  }

  allows(role: string, request: Request): boolean {
    const matching = this.statements(role).filter((statement) => matches(statement, request))
    return matching.some(({ Effect }) => Effect === 'Allow') && !matching.some(({ Effect }) => Effect === 'Deny')
  }
}

function matches({ Action, Resource, Condition = {} }: Statement, { action, resource, context = {} }: Request): boolean {
  const actions = [Action].flat()
  const resources = [Resource].flat().map(arnOf)
  return (
    actions.some((pattern) => isLike(pattern, action)) &&
    resources.some((pattern) => isLike(pattern, resource)) &&
    Object.entries(Condition).every(([operator, keys]) => Object.entries(keys).every(([key, values]) => holds(operator, context[key], values)))
  )
}

function holds(operator: string, given: readonly string[] | undefined, values: unknown): boolean {
  const patterns = [values].flat().map(arnOf)
  switch (operator) {
    // Of no value at all it holds.
    case 'ForAllValues:StringLike':
      return (given ?? []).every((value) => patterns.some((pattern) => isLike(pattern, value)))
    case 'ArnLike':
    case 'StringLike':
      return given?.some((value) => patterns.some((pattern) => isLike(pattern, value))) ?? false
    default:
      throw new Error(`the evaluator does not know the condition ${operator}`)
  }
}

/** Intrinsic functions as text: `<Logical.Arn>`, `<Logical>`, and what is joined. */
export function arnOf(value: unknown): string {
  if (typeof value === 'string') return value
  const { Ref, 'Fn::GetAtt': attribute, 'Fn::Join': joined, ...other } = value as Record<string, unknown>
  if (typeof Ref === 'string') return `<${Ref}>`
  if (Array.isArray(attribute)) return `<${attribute.join('.')}>`
  if (Array.isArray(joined)) return (joined[1] as unknown[]).map(arnOf).join(joined[0] as string)
  throw new Error(`the evaluator does not know ${JSON.stringify(other)}`)
}

/** `*` stands for any characters, `?` for one. */
function isLike(pattern: string, value: string): boolean {
  const expression = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${expression}$`, 's').test(value)
}
