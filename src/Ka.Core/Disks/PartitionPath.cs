namespace Ka.Core.Disks;

/// <summary>Names of partition devices.</summary>
public static class PartitionPath
{
    /// <summary>The device of one partition of a disk.</summary>
    /// <param name="disk">A disk device, or its link under <c>/dev/disk/</c>.</param>
    /// <param name="number">Number of the partition in the table, from 1.</param>
    /// <remarks>
    /// The kernel puts a <c>p</c> between disk and number when the disk's name ends in a digit (nvme0n1, mmcblk0, loop0, nbd0, md0);
    /// udev appends <c>-partN</c> to its links.
    /// </remarks>
    public static string Of(string disk, int number)
    {
        if (disk.StartsWith("/dev/disk/", StringComparison.Ordinal))
        {
            return $"{disk}-part{number}";
        }
        return disk.Length > 0 && char.IsAsciiDigit(disk[^1]) ? $"{disk}p{number}" : $"{disk}{number}";
    }
}
