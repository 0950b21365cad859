import { Stack, Validations } from 'aws-cdk-lib'
import type { IConstruct } from 'constructs'

/** Tells cdk-nag's AwsSolutions why a rule does not hold here. Below `construct`, and nowhere else. */
export function acknowledge(construct: IConstruct, rule: string, reason: string): void {
  Validations.of(construct).acknowledge({ id: `AwsSolutions-${rule}`, reason })
}

/** The same for one resource with a `*` in the policies below `construct`. */
export function acknowledgeWildcard(construct: IConstruct, arn: string, reason: string): void {
  acknowledge(construct, `IAM5[Resource::${asFound(Stack.of(construct).resolve(arn))}]`, reason)
}

/** A resolved ARN as cdk-nag writes it into what it finds. */
function asFound(resolved: unknown): string {
  if (typeof resolved === 'string') return resolved
  const { 'Fn::Join': joined, 'Fn::GetAtt': attribute, Ref } = resolved as Record<string, unknown>
  if (Array.isArray(joined)) return (joined[1] as unknown[]).map(asFound).join('')
  return `<${Array.isArray(attribute) ? attribute.join('.') : String(Ref)}>`
}
