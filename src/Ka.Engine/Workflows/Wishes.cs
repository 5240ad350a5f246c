using Ka.Engine.Ports;

namespace Ka.Engine.Workflows;

/// <summary>What nodes are to boot.</summary>
public enum RebootTarget
{
    /// <summary>What is on their disk.</summary>
    Disk,

    /// <summary>The minimal environment; its agent stays there.</summary>
    Minimal,

    /// <summary>A boot profile of the user's own, until another operation.</summary>
    Profile,
}

/// <summary>A reboot that is asked for.</summary>
/// <param name="Level">How roughly it begins; further tries are rougher.</param>
public sealed record RebootWish(RebootTarget To, Level Level);

/// <summary>A change of power that is asked for.</summary>
public sealed record PowerWish(PowerAction Action, Level Level);
