import { type IPrincipal, type IRole, Policy, PolicyDocument, type PolicyStatement } from 'aws-cdk-lib/aws-iam'
import type { Construct } from 'constructs'

/**
 * What a function may do for one revision, beside what its log and its traces need: a policy of its own on the function's role. Roles outlive revisions, and
 * CloudFormation changes what keeps its id in place, before the activation: a statement that names the revision's logs, streams and queues would be taken
 * from the revision that still runs, and has to stop with a savepoint. With the revision in its id the policy is there before the activation, and that of the
 * revision before goes when all is over; between the two the role may do what both say.
 */
export class RevisionAccess extends Policy {
  /** Grants go into this policy, while what has a policy itself (a key, a secret) is told of the role. */
  override readonly grantPrincipal: IPrincipal

  constructor(scope: Construct, role: IRole, revision: string) {
    // IAM gives all policies in a role 10,240 characters together, and there are two of these while the job is upgraded.
    super(scope, `Access${revision}`, { roles: [role], document: new PolicyDocument({ minimize: true }) })
    const { assumeRoleAction, policyFragment, principalAccount } = role
    const principal: Omit<IPrincipal, 'grantPrincipal'> = {
      assumeRoleAction,
      policyFragment,
      ...(principalAccount === undefined ? {} : { principalAccount }),
      addToPrincipalPolicy: (statement: PolicyStatement) => {
        this.addStatements(statement)
        return { statementAdded: true, policyDependable: this }
      },
    }
    this.grantPrincipal = Object.assign(principal, { grantPrincipal: principal as IPrincipal })
  }
}
