using System.Text.RegularExpressions;

namespace Ka.Core.Clusters;

/// <summary>The VLANs that a deployment puts the switch ports of its nodes into.</summary>
/// <param name="Name">For the deployed system, right after its boot was caused; null leaves the ports as they are.</param>
/// <param name="Default">For the minimal environment, before it is booted; null leaves the ports as they are.</param>
public sealed partial record VlanWish(string? Name, string? Default)
{
    /// <summary>What is a VLAN's name or number. It goes into host names and arguments, and means nothing to either.</summary>
    public static bool IsName(string text) => Word().IsMatch(text);

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9_-]{0,31}\z")]
    private static partial Regex Word();
}
