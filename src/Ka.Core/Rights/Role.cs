using System.Collections.Immutable;

namespace Ka.Core.Rights;

/// <summary>What a person is to a site; each role includes the ones before it.</summary>
public enum Role
{
    /// <summary>Sees, and changes nothing.</summary>
    Viewer,

    /// <summary>Works on the nodes that a rule gives, with environments of its own.</summary>
    User,

    /// <summary>Works on all nodes, with every environment and everybody's operations.</summary>
    Operator,

    /// <summary>Gives rights, and reads what is secret.</summary>
    Admin,
}

/// <summary>What a route needs of who calls it.</summary>
public enum Right
{
    /// <summary>Nothing: whoever reaches the listener.</summary>
    None,
    View,

    /// <summary>Operations on nodes; which nodes is for the rules to say.</summary>
    Deploy,
    Environments,
    Operate,
    Admin,

    /// <summary>An agent's own credential.</summary>
    Agent,
}

/// <summary>Who asks, as it was proved.</summary>
/// <param name="Name">Login name; <c>uid:N</c> for a user id without one.</param>
/// <param name="Groups">Without <c>@</c>.</param>
/// <param name="By">How it was proved: <c>socket</c>, <c>token T-…</c>, <c>password</c>, <c>certificate …</c>, <c>oidc ISSUER</c>.</param>
public sealed record Caller(string Name, ImmutableArray<string> Groups, Role Role, string By);

/// <summary>Which role a right needs.</summary>
public static class Roles
{
    /// <summary>The least role that has the right; null when no role is needed.</summary>
    public static Role? Least(Right right) => right switch
    {
        Right.None or Right.Agent => null,
        Right.View => Role.Viewer,
        Right.Deploy or Right.Environments => Role.User,
        Right.Operate => Role.Operator,
        Right.Admin => Role.Admin,
    };

    public static string Word(this Role role) => role.ToString().ToLowerInvariant();
}
