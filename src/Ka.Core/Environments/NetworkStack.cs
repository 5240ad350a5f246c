namespace Ka.Core.Environments;

/// <summary>What configures the network of a deployed system.</summary>
public enum NetworkStack
{
    /// <summary>The image does it by itself.</summary>
    None,
    SystemdNetworkd,
    Ifupdown,
    NetworkManager,
}
