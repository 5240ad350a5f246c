namespace Ka.Core.Environments;

/// <summary>Room for an image that lies whole on a node before it is unpacked. Server and agent must judge alike.</summary>
public static class WholeImage
{
    /// <summary>Bytes of a node's memory that such an image may take: the other half is for the system and what is on its way to the disk.</summary>
    public static long Share(long memory) => memory / 2;

    /// <summary>Bytes that a file system must have free to hold an image beside what it unpacks to; a twentieth is for its own records.</summary>
    public static long OnTarget(long bytes, long unpackedBytes) => bytes + unpackedBytes + (unpackedBytes / 20);
}
