namespace Ka.Protocol.Agents;

/// <summary>What <c>ka-agent receive</c> is told: a file or tree that comes from a sender and others.</summary>
/// <param name="From"><c>address:port</c> of the sender.</param>
/// <param name="Key">Secret of the broadcast, hexadecimal.</param>
/// <param name="Name">Of this receiver.</param>
/// <param name="To">File that is made or replaced when all of it is there; of a tree the directory that gets what the tree's root holds.</param>
/// <param name="IsTree">A tar archive of a tree comes.</param>
/// <param name="Mode">Permissions of a file.</param>
/// <param name="WaitSeconds">How long the sender is sought.</param>
public sealed record CopyOrder(string From, string Key, string Name, string To, bool IsTree, int Mode, int WaitSeconds);
